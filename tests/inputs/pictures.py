"""Images that can be told apart by any of their pixels, and what becomes of them."""

import keras
import numpy as np
import pytest
import torch

from keras_rlr.inputs.image_source import ImageSource
from keras_rlr.inputs.labels import label_of


def pictures(count, mixed, grey=False):
    """Images that can be told apart by any of their pixels."""
    sizes = [
        (8 + i % 3 if mixed else 8, 10 + i % 2 if mixed else 10) for i in range(99)
    ]
    shapes = [size if grey else (*size, 3) for size in sizes]
    return [np.full(shapes[i], 20 + i, "uint8") for i in range(count)]


def delivered(source):
    """(what each image is, its label) in order, and the number of batches."""
    batches = list(source.batches())
    found = [
        (int(np.ravel(element["image"])[0]) - 20, label_of(element, 0))
        for batch in batches
        for element in batch
    ]
    for batch in batches:
        for element in batch:
            assert np.ndim(element["image"]) in (2, 3)
            assert len(np.unique(element["image"])) == 1
    return found, len(batches)


class Samples(torch.utils.data.Dataset):
    def __init__(self, samples):
        self.samples = samples

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, index):
        return self.samples[index]


class Batches(keras.utils.PyDataset):
    def __init__(self, batches):
        super().__init__()
        self.batches = batches

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, index):
        return self.batches[index]


def loader(samples, **options):
    return torch.utils.data.DataLoader(Samples(samples), **options)


def refused(data, message, **options):
    with pytest.raises(ValueError, match=message):
        delivered(ImageSource(data, 2, **options))
