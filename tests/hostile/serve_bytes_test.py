"""What a SavedModel's graph makes of odd and harmful image files."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_rlr.export.decode_images import OK, REFUSED, UNDECODABLE, decode_images
from tests.hostile.image_kinds import BMP, JPEG, PNG, READ
from tests.hostile.image_kinds import REFUSED as BAD
from tests.hostile.outcome import bounded

pytestmark = [pytest.mark.backend_independent, pytest.mark.needs_tensorflow]

SIZE = (8, 8)
# TensorFlow's decoders are more lenient with what no memory depends on.
LENIENT = {"beyond_the_palette.png", "text_of_5_mb.png"}


@pytest.fixture(scope="module")
def decode():
    function = tf.function(
        lambda encoded: decode_images(encoded, SIZE),
        input_signature=[tf.TensorSpec((None,), tf.string)],
    )

    def run(files):
        with bounded():
            images, status = function(tf.constant(files, tf.string, (len(files),)))
        return images.numpy(), status.numpy()

    return run


def test_every_file_of_a_batch_has_a_status_and_none_harms_another(decode):
    names = [*READ, *BAD]
    images, status = decode([{**READ, **BAD}[name] for name in names])
    assert images.shape == (len(names), *SIZE, 3)
    assert np.isfinite(images).all() and images.min() >= 0 and images.max() <= 255.5
    assert set(status) <= {OK, UNDECODABLE, REFUSED}
    # What is refused is black, and what should be decoded is.
    assert not images[status != OK].any()
    by_name = dict(zip(names, status, strict=True))
    for name in ("rgb.png", "rgb.jpg", "rgb.bmp", "grey.png", "orientation_6.jpg"):
        assert by_name[name] == OK
    assert {name for name in BAD if by_name[name] == OK} == LENIENT
    for name in ("bomb.png", "bomb.bmp"):
        assert by_name[name] == REFUSED


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_any_damage_to_a_file(decode, data):
    files = []
    for _ in range(8):
        content = bytearray(data.draw(st.sampled_from([PNG, JPEG, BMP])))
        start = data.draw(st.integers(0, min(200, len(content) - 1)))
        content[start : start + data.draw(st.integers(0, 8))] = data.draw(
            st.binary(max_size=8)
        )
        files.append(bytes(content))
    images, status = decode([*files, PNG])
    assert np.isfinite(images).all()
    assert status[-1] == OK
