"""Data that has no end, and the first batches of it and of other data."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_rlr.inputs.first_batches import FirstBatches
from keras_rlr.inputs.image_source import ImageSource
from tests.inputs.pictures import Batches, loader, pictures

pytestmark = pytest.mark.backend_independent


class Endless(keras.utils.PyDataset):
    num_batches = None

    def __getitem__(self, index):
        return np.full((2, 8, 8, 3), 20 + index, "uint8")


class WithoutLength(keras.utils.PyDataset):
    def __getitem__(self, index):
        return np.full((2, 8, 8, 3), 20 + index, "uint8")


def plain():
    return tf.data.Dataset.from_tensor_slices(np.stack(pictures(3, mixed=False)))


def test_data_that_has_no_end_is_known():
    endless = (
        plain().repeat(),
        plain().repeat().batch(2),
        plain().repeat().filter(lambda image: tf.reduce_max(image) > 0).batch(2),
        plain().batch(1).repeat().unbatch().shuffle(3).prefetch(1),
        Endless(),
        WithoutLength(),
    )
    for data in endless:
        source = ImageSource(data, 2)
        assert source.is_endless, data
        first = FirstBatches(source, 3)
        assert first.num_batches() == len(list(first.batches())) == 3
    finite = (
        plain(),
        plain().repeat(3),
        plain().repeat().take(2),
        plain().filter(lambda image: tf.reduce_max(image) > 0),
        plain().repeat().take_while(lambda image: tf.reduce_max(image) < 22),
        plain().repeat().filter(lambda image: tf.reduce_max(image) > 20).take(4),
        pictures(2, mixed=False),
        loader(pictures(2, mixed=False)),
        Batches([np.stack(pictures(2, mixed=False))]),
    )
    for data in finite:
        source = ImageSource(data, 2)
        assert not source.is_endless
        list(source.batches())


def test_fewer_batches_than_steps_are_told():
    for data in (pictures(5, mixed=False), plain().filter(lambda _: True)):
        with pytest.warns(UserWarning, match="`steps=9` batches .* the data has"):
            list(FirstBatches(ImageSource(data, 2), 9).batches())
    with pytest.raises(ValueError, match="`steps` must be a whole number of batches"):
        FirstBatches(ImageSource(pictures(5, mixed=False), 2), 0)
