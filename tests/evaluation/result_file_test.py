import csv
import io
import math

import pytest

from keras_rlr.evaluation.result_file import evaluation_as_csv

pytestmark = pytest.mark.backend_independent


def test_the_table_has_full_precision_and_says_what_was_used():
    value = 0.1 + 0.2
    evaluation = {
        "categories": {"a,b": {"image_auroc": value, "pixel_auroc": math.nan}},
        "mean": {"image_auroc": value, "pixel_auroc": math.nan},
        "pooled": {"image_auroc": 1.0, "pixel_auroc": 0.5},
        "protocol": {"epoch": 4, "selected_on_test_set": False, "map_size": 256},
        "model": {
            "method": "RLR",
            "backbone": "efficientnet_lite2",
            "levels": [2, 3],
            "seed": 7,
        },
        "training": {"recipe": "default"},
        "environment": {"backend": "jax", "packages": {"keras-rlr": "0.1.0"}},
        "data": {"fingerprint": "abc"},
    }
    rows = list(csv.DictReader(io.StringIO(evaluation_as_csv(evaluation))))
    assert [row["category"] for row in rows] == ["a,b", "mean", "pooled"]
    assert float(rows[0]["image_auroc"]) == value
    assert rows[0]["pixel_auroc"] == ""
    for row in rows:
        assert row["epoch"] == "4"
        assert row["selected_on_test_set"] == "false"
        assert (row["method"], row["levels"]) == ("RLR", "2 3")
        assert row["data_fingerprint"] == "abc"
        assert (row["recipe"], row["seed"], row["backend"]) == ("default", "7", "jax")
