"""Images of files are resized as they are read, so that large ones don't add up."""

import tracemalloc
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_rlr.inputs.first_batches import finite_source
from keras_rlr.inputs.image_source import ImageSource
from keras_rlr.inputs.prediction_batches import PredictionBatches
from keras_rlr.inputs.resized_image import ResizedImage
from keras_rlr.inputs.training_batches import TrainingBatches
from keras_rlr.inputs.value_ranges import ValueRanges

pytestmark = pytest.mark.backend_independent


class Files:
    """A data set that makes its images when they are asked for."""

    def __init__(self, count, shape=(70, 50, 3), reads_files=True, dtype="uint8"):
        self.count, self._shape, self.dtype = count, shape, dtype
        self.reads_files = reads_files

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        image = np.random.default_rng(index).integers(0, 256, self._shape, self.dtype)
        return {"image": image, "label": 0, "path": f"{index}.png"}


def all_images(batches):
    return np.concatenate([images for _, images in batches.images()])


@pytest.mark.parametrize("shape", [(70, 50, 3), (33, 33, 1), (40, 60), (16, 16, 4)])
def test_pixels_order_and_sizes_are_the_same(shape):
    early = PredictionBatches(ImageSource(Files(7, shape), 3), 16)
    late = PredictionBatches(ImageSource(Files(7, shape, reads_files=False), 3), 16)
    np.testing.assert_array_equal(all_images(early), all_images(late))
    for batches in (early, late):
        list(batches.generate())
        assert batches.sizes == [shape[:2]] * 7


def test_only_images_of_files_are_resized_early():
    for reads_files, kind in ((True, ResizedImage), (False, np.ndarray)):
        source = finite_source("predict", Files(4, reads_files=reads_files), 2, steps=1)
        (batch,) = source.in_size_of(16).batches()
        assert {type(element["image"]) for element in batch} == {kind}
    assert isinstance(next(ImageSource(Files(4), 2).batches())[0]["image"], np.ndarray)


def test_what_is_resized_is_data_itself():
    (batch,) = ImageSource(Files(4), 4).in_size_of(16).batches()
    again = PredictionBatches(ImageSource([e["image"] for e in batch], 4), 16)
    expected = PredictionBatches(ImageSource(Files(4), 4), 16)
    np.testing.assert_array_equal(all_images(again), all_images(expected))


@pytest.mark.parametrize("batches_of", ["predict", "fit"])
def test_large_images_are_in_memory_one_by_one(batches_of):
    shape = (1500, 1000, 3)
    source = ImageSource(Files(24, shape), 12)
    if batches_of == "predict":
        stream = PredictionBatches(source, 16).generate()
    else:
        stream = TrainingBatches(source, 16, seed=0).generate()
    tracemalloc.start()
    try:
        for _ in stream:
            pass
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # Those that the threads have, as integers of 64 bits while they are drawn.
    assert peak < 8 * np.prod(shape)


class WrongFiles(Files):
    """All of whose images are of a type that no image has."""

    def __getitem__(self, index):
        one = super().__getitem__(index)
        return {**one, "image": one["image"].astype(bool)}


def test_what_is_wrong_is_named_by_the_file():
    batches = PredictionBatches(ImageSource(WrongFiles(2), 2), 16)
    with pytest.raises(ValueError, match=r"image 0 \(0\.png\) of dtype bool"):
        all_images(batches)


def outcome(function):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            function()
        except ValueError as error:
            return str(error)
    return [str(warning.message) for warning in caught]


IMAGES = st.lists(
    st.tuples(
        st.sampled_from([0, 1, 12, 200, 255, 300, 4095, 5000]),
        st.booleans(),
        st.sampled_from(["uint8", "uint16"]),
    ),
    max_size=9,
)


@settings(max_examples=200)
@given(IMAGES, st.integers(1, 4), st.sampled_from([None, 16]))
def test_parts_that_were_looked_at_alone_say_the_same(kinds, batch, bit_depth):
    images = []
    for highest, one_value, dtype in kinds:
        image = np.full((20, 20, 3), highest if dtype == "uint16" else highest % 256)
        image[3:, 5:] *= one_value
        images.append(image.astype(dtype))
    batches = [images[i : i + batch] for i in range(0, len(images), batch)]

    def together():
        ranges = ValueRanges(bit_depth)
        for part in batches:
            ranges.check(part, ["it"] * len(part))
        ranges.finish()

    def apart():
        ranges = ValueRanges(bit_depth)
        for part in batches:
            alone = [ValueRanges(bit_depth) for _ in part]
            for image, one in zip(part, alone, strict=True):
                one.check([image], ["it"])
            ranges.take_in(alone)
        ranges.finish()

    assert outcome(apart) == outcome(together)
