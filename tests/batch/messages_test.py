"""What processes tell each other is text, from which nothing can be run."""

import json

import numpy as np
import pytest

from keras_rlr.batch.part_scorer import Report
from keras_rlr.batch.parts import (
    FilePart,
    ParquetPart,
    part_from_json,
    part_to_json,
)
from keras_rlr.inputs.value_ranges import ValueRanges

pytestmark = pytest.mark.backend_independent

PARTS = [
    FilePart(("a\n.png", "caf\udce9.png"), ("/x/a\n.png", "s3://b/ü.png")),
    ParquetPart("lake.parquet", 9, 1, 20, 3, 7, "image", None),
]


@pytest.mark.parametrize("part", PARTS)
def test_parts(part):
    text = part_to_json(part)
    assert text.isascii()
    again = part_from_json(text)
    assert again == part
    assert again.name == part.name


@pytest.mark.parametrize("error", [OSError("disk full"), ValueError("too dark"), None])
def test_reports(error):
    again = Report.from_json(Report(3, None, ["a", "é"], error).to_json())
    assert (again.images, again.value_ranges) == (3, None)
    assert again.warnings == ["a", "é"]
    assert type(again.refusal) is type(error)
    assert str(again.refusal) == str(error)


def test_a_refusal_of_a_kind_of_its_own_stays_an_error_of_the_system():
    again = Report.from_json(Report(0, refusal=PermissionError(13, "no")).to_json())
    assert isinstance(again.refusal, OSError)
    assert "no" in str(again.refusal)


@pytest.mark.parametrize(
    "image",
    [
        np.array([[0, 1], [1, 0]], "uint8"),
        np.array([[0, 1], [1, 0]], "float32"),
        np.array([[0, 900], [4000, 0]], "uint16"),
    ],
)
def test_what_was_seen_of_values_is_said_of_all(image):
    images = [image + 0 for _ in range(4)]
    ranges = ValueRanges()
    ranges.check(images[:2], ["1", "2"])
    text = json.dumps(ranges.to_dict())
    again = ValueRanges()
    again.take_in([ValueRanges.from_dict(json.loads(text))])
    with pytest.warns(UserWarning) as said:
        again.finish()
    with pytest.warns(UserWarning) as expected:
        ranges.finish()
    assert [str(w.message) for w in said] == [str(w.message) for w in expected]
