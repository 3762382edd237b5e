"""Pixels that are not what their type says: refused, warned of, or let be."""

import time
import warnings

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from keras_rlr.inputs.host_batches import stack_images
from keras_rlr.inputs.image_source import ImageSource
from keras_rlr.inputs.images import check_bits, to_rgb
from keras_rlr.inputs.prediction_batches import PredictionBatches
from keras_rlr.inputs.resize import resize_images
from keras_rlr.inputs.training_batches import TrainingBatches
from keras_rlr.inputs.value_ranges import ValueRanges, check_bit_depth
from tests.tiny_model import random_images

pytestmark = pytest.mark.backend_independent

IMAGES = random_images(6)
MEAN, STD = np.array([123.7, 116.3, 103.5]), np.array([58.4, 57.1, 57.4])


def one_pass(images, bit_depth=None, batch_size=2):
    """Looks at images as a pass over them does."""
    batches = PredictionBatches(
        ImageSource(list(images), batch_size), 16, bit_depth=bit_depth
    )
    return np.concatenate([batch for _, batch in batches.images()])


def silent(images, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return one_pass(images, **options)


def overshooting():
    """Sharp edges enlarged by Catmull-Rom's cubic, as float images are."""
    image = np.where(IMAGES[0] > 128, 255.0, 0.0)
    t = (np.arange(64) + 0.5) / 2 - 0.5
    base = np.floor(t).astype(int)
    f = (t - base)[:, None]
    weights = np.concatenate(
        [
            -0.5 * f**3 + f**2 - 0.5 * f,
            1.5 * f**3 - 2.5 * f**2 + 1,
            -1.5 * f**3 + 2 * f**2 + 0.5 * f,
            0.5 * f**3 - 0.5 * f**2,
        ],
        1,
    )
    rows = np.clip(base[:, None] + np.arange(-1, 3), 0, 31)
    matrix = np.zeros((64, 32))
    for i in range(64):
        np.add.at(matrix[i], rows[i], weights[i])
    return np.einsum("ij,jkc,lk->ilc", matrix, image, matrix).astype("float32")


GOOD = {
    "uint8": IMAGES,
    "16 bits": IMAGES.astype("uint16") * 257,
    "float": IMAGES.astype("float32"),
    "bfloat16": IMAGES.astype(ml_dtypes.bfloat16),
    "int32": IMAGES.astype("int32"),
    "overshoot of a cubic resize": overshooting()[None],
    "a little overshoot": IMAGES.astype("float32") * (256 / 255) - 0.5,
    "black": np.zeros((5, 8, 8, 3), "uint8"),
    "black float": np.zeros((5, 8, 8, 3), "float32"),
    "black 16 bits": np.zeros((5, 8, 8, 3), "uint16"),
    "white or black, float": np.full((5, 8, 8, 3), 1, "float32"),
    "a bright corner": np.where(np.indices((1, 90, 90, 1)).sum(0) < 9, 200.0, 0),
    "a dark float image": np.minimum(IMAGES, 3).astype("float32"),
    "alpha of 255": np.concatenate([IMAGES, np.full_like(IMAGES[..., :1], 255)], -1),
}  # fmt: skip


@pytest.mark.parametrize("kind", GOOD)
def test_good_images_pass_without_a_word(kind):
    silent(GOOD[kind])


def test_the_overshoot_that_is_let_be_is_real():
    image = overshooting()
    assert image.min() < -40 and image.max() > 290


BAD = {
    "16 bits as float": (IMAGES[0] * 257.0, r"with the value 65535.*as uint16"),
    "12 bits as int32": (
        IMAGES[0].astype("int32") * 16,
        r"int32 with the value \d+, outside of 0-255.*`bit_depth`",
    ),
    "negative int16": (IMAGES[0].astype("int16") - 128, "int16 with the value -"),
    "int64 of 256": (IMAGES[0].astype("int64") + 1, "with the value 256"),
    "a float above the tolerance": (IMAGES[0] + 80.0, "outside of 0-255"),
    "mean subtracted": (IMAGES[0] - 127.5, "outside of 0-255"),
    "normalised as ImageNet": ((IMAGES[0] - MEAN) / STD, "seems to be normalised"),
    "a dark one, normalised": ((IMAGES[0] // 8 - MEAN) / STD, "to be normalised"),
    "one colour, normalised": ((np.zeros((8, 8, 3)) - MEAN) / STD, "to be normalised"),
    "-1 to 1": (IMAGES[0] / 127.5 - 1, "seems to be normalised.*-1 to 1"),
    "standardised by itself": (
        (IMAGES[0] - IMAGES[0].mean()) / IMAGES[0].std(),
        "seems to be normalised",
    ),
    "0-1": (IMAGES[0] / 255.0, r"seems to be scaled to 0-1.*images \* 255"),
    "0-1 as float16": ((IMAGES[0] / 255.0).astype("float16"), "scaled to 0-1"),
    "0-1 as bfloat16": ((IMAGES[0] / 255.0).astype(ml_dtypes.bfloat16), "to 0-1"),
    "0-1, grey": (IMAGES[0, ..., 0] / 255.0, "scaled to 0-1"),
    "0-1, overshooting": (overshooting() / 255, "scaled to 0-1|normalised"),
    "0-1 with alpha": (
        np.concatenate([IMAGES[0] / 255.0, np.full((32, 32, 1), 255.0)], -1),
        "scaled to 0-1",
    ),
    "0-1, of one grey": (np.full((8, 8, 3), 0.5, "float32"), "scaled to 0-1"),
    "0-1, dark": (IMAGES[0] / 255.0 / 9, "scaled to 0-1"),
    "NaN": (np.where(IMAGES[0] > 200, np.nan, IMAGES[0]), "NaN or infinite"),
    "infinite": (np.where(IMAGES[0] > 200, np.inf, IMAGES[0]), "NaN or infinite"),
}  # fmt: skip


@pytest.mark.parametrize("place", [0, 3, 5])
@pytest.mark.parametrize("kind", BAD)
def test_bad_images_are_refused_wherever_they_are(kind, place):
    """In the first batch, in a later one, and beside good images."""
    image, message = BAD[kind]
    grey = image.ndim == 2
    images = list(IMAGES[..., 0] if grey else IMAGES)
    images[place] = image
    with pytest.raises(ValueError, match=rf"image {place} .*{message}"):
        one_pass(images)
    batches = TrainingBatches(ImageSource(images, 4), 16, seed=0, shuffle=False)
    with pytest.raises(ValueError, match=message):
        list(batches.generate())


def test_the_file_is_named():
    elements = [{"image": IMAGES[0] / 255.0, "path": "gear/train/7.png"}]
    with pytest.raises(ValueError, match=r"image 0 \(gear/train/7.png\)"):
        one_pass(elements)


@given(
    arrays.arrays(
        st.sampled_from(["uint8", "float32", "int32", "uint16"]),
        st.sampled_from([(5, 7, 3), (5, 7, 1), (6, 4, 4), (9, 9, 2)]),
        elements=st.integers(0, 255),
    )
)
def test_no_single_image_of_whole_numbers_in_0_to_255_is_refused(image):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        one_pass([image])


@pytest.mark.parametrize("bits", range(9, 17))
def test_bit_depth_scales_to_0_to_255(bits):
    top = 2**bits - 1
    image = np.array([[[0], [top], [top // 2]]], "uint16")
    rgb = to_rgb(image, "it", bits)[0, :, 0]
    np.testing.assert_allclose(rgb, [0, 255, top // 2 * 255 / top], rtol=1e-6)
    assert rgb[1] == 255
    silent([np.tile(image, (4, 4, 1))], bit_depth=bits)
    if bits < 16:
        with pytest.raises(
            ValueError, match=f"image 0 with the value {top + 1}, and {bits} bits end"
        ):
            one_pass([image + np.uint16(1)], bit_depth=bits)


def test_sixteen_bits_are_what_none_is():
    image = np.arange(2**16, dtype="uint16").reshape(256, 256, 1)
    np.testing.assert_array_equal(to_rgb(image, "it", 16), to_rgb(image, "it"))


@pytest.mark.parametrize("bits", [0, 8, 17, 12.5, "12"])
def test_other_bit_depths_are_refused(bits):
    with pytest.raises(ValueError, match="whole number from 9 to 16"):
        check_bits(bits)


def test_bits_of_the_alpha_channel_dont_count():
    image = np.full((4, 4, 4), 65535, "uint16")
    image[..., :3] = 4095
    check_bit_depth(image, 12, "it")
    with pytest.raises(ValueError, match="at least 12"):
        check_bit_depth(image, 11, "it")


@pytest.mark.parametrize(("bits", "shift"), [(10, 4), (12, 16)])
def test_10_and_12_bits_are_warned_of_once_a_pass(bits, shift):
    images = IMAGES.astype("uint16") * np.uint16(2 ** (bits - 8))
    highest = images.max()
    with pytest.warns(UserWarning) as caught:
        one_pass(images)
    (warning,) = caught
    assert f"No value of the 6 uint16 images exceeds {highest}" in str(warning.message)
    assert f"bit_depth={bits} (--bit-depth {bits})" in str(warning.message)
    silent(images, bit_depth=bits)
    silent(images, bit_depth=16)
    # One bright image, wherever it is, shows that it is 16 bits after all.
    for place in (0, 5):
        some = images.copy()
        some[place] = 60000
        silent(some)


def test_training_warns_in_its_first_pass_alone():
    images = IMAGES.astype("uint16") * 16
    for size in (2, 4):
        batches = TrainingBatches(ImageSource(images, size), 16, seed=0)
        with pytest.warns(UserWarning, match="bit_depth=12"):
            # As a backend reads that knows how many batches there are.
            stream = batches.generate()
            for _ in range(batches.num_batches):
                next(stream)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            batches.begin_epoch(1)
            list(batches.generate())


def test_many_images_are_warned_of_before_an_end_that_may_never_come():
    ranges = ValueRanges()
    image = IMAGES[0].astype("uint16") * 16
    with pytest.warns(UserWarning, match="the first 256 uint16 images exceeds"):
        ranges.check([image.copy() for _ in range(256)], ["it"] * 256)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ranges.check([image], ["it"])
        ranges.finish()


def test_8_bits_in_uint16_are_refused_when_there_is_evidence():
    images = IMAGES.astype("uint16")
    with pytest.raises(ValueError, match=r"4 uint16 images exceeds 25\d: 8-bit images"):
        one_pass(images, batch_size=2)
    with pytest.warns(UserWarning, match="No value of the 2 uint16 images.*8-bit"):
        one_pass(images[:2])
    # Dark frames among others prove nothing, nor does a black one.
    bright = images * 257
    silent([*images[:2], *bright], batch_size=8)
    silent([*bright, *images])
    with pytest.warns(UserWarning, match="No value of the 1 uint16 image"):
        one_pass([images[0], np.zeros_like(images[0])])
    silent(images, bit_depth=16)


@pytest.mark.parametrize("dtype", ["uint8", "int32", "float32"])
def test_masks_in_place_of_images_are_warned_of(dtype):
    masks = (IMAGES > 128).astype(dtype)
    with pytest.warns(UserWarning, match="6 images have no other values than 0 and 1"):
        one_pass(masks)
    with pytest.warns(UserWarning, match="1 image has no other values than 0 and 1"):
        one_pass([*IMAGES.astype(dtype), masks[0]])


def test_nearly_black_8_bit_images_are_warned_of():
    dark = IMAGES // 17  # what is left of 12-bit colour by its upper 8 bits
    with pytest.warns(UserWarning, match="6 uint8 images exceeds 15.*16-bit colour"):
        one_pass(dark)
    silent(dark[:2])
    silent([*dark, IMAGES[0]])


def test_a_batch_padded_with_its_last_image_counts_it_once():
    dark = IMAGES[0].astype("uint16")
    with pytest.warns(UserWarning, match="No value of the 1 uint16 image"):
        one_pass([dark] * 8)


def quickest(function):
    times = []
    for _ in range(5):
        # Of this process alone: others may be busy too.
        begun = time.process_time()
        function()
        times.append(time.process_time() - begun)
    return min(times)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int32", "float32"])
def test_looking_costs_little_beside_the_resize(dtype, channels):
    image = np.random.default_rng(0).integers(0, 256, (1024, 1024, channels))
    image = image.astype(dtype) * (257 if dtype == "uint16" else 1)
    image = image.astype(dtype)
    rgb = to_rgb(image, "it")
    resize = quickest(lambda: resize_images(rgb, 256))
    look = quickest(lambda: ValueRanges().check([image], ["it"]))
    # 8 and 16 bits have few values that can be wrong.
    share = 0.1 if dtype.startswith("uint") else 0.5
    assert look < share * resize, (look, resize)


def test_every_path_converts_alike():
    """A batch of one size and one by one."""
    images = IMAGES.astype("uint16") * 16
    names = [{"image": image} for image in images]
    together = stack_images(names, 16, range(6), ValueRanges(12))
    others = [*names, {"image": np.zeros((8, 9, 3), "uint16")}]
    alone = stack_images(others, 16, range(7), ValueRanges(12))
    np.testing.assert_allclose(together, alone[:6], rtol=1e-5)
    expected = to_rgb(IMAGES * np.float32(16 * 255 / 4095), "it")
    np.testing.assert_allclose(together, resize_images(expected, 16), rtol=1e-5)


def test_few_levels_from_0_to_1_are_warned_of():
    """Images of four levels scaled to 0-1 were nearly black ones in silence."""
    levels = np.float32([0, 1 / 3, 2 / 3, 1])[IMAGES // 64]
    assert len(np.unique(levels)) == 4
    said = "6 images have no other values than 0 and 1, or a few between"
    with pytest.warns(UserWarning, match=said):
        one_pass(levels)
