"""The same six images as every kind of data that `fit` takes."""

import keras
import numpy as np
import tensorflow as tf
import torch

from tests.tiny_model import random_images

IMAGES = random_images(6, 40, 48)


class Loader(keras.utils.PyDataset):
    """Batches of two images with labels, as a PyDataset."""

    def __len__(self):
        return 3

    def __getitem__(self, index):
        return IMAGES[2 * index : 2 * index + 2], np.zeros(2)


class Elements(torch.utils.data.Dataset):
    """Single images with labels, for a torch DataLoader."""

    def __len__(self):
        return len(IMAGES)

    def __getitem__(self, index):
        return torch.from_numpy(IMAGES[index]), 0


def named(images):
    return {"image": images, "path": np.array([f"{i}.png" for i in range(len(images))])}


KINDS = {
    "array": lambda: IMAGES,
    "float array": lambda: IMAGES.astype("float32"),
    "list": lambda: list(IMAGES),
    "dict": lambda: named(IMAGES),
    "tuple": lambda: (IMAGES, np.zeros(6)),
    "sequence of dicts": lambda: [
        {"image": image, "category": "a"} for image in IMAGES
    ],
    "tf.data of batches": lambda: tf.data.Dataset.from_tensor_slices(IMAGES).batch(2),
    "tf.data of images": lambda: tf.data.Dataset.from_tensor_slices(IMAGES),
    "tf.data of dicts": lambda: tf.data.Dataset.from_tensor_slices(named(IMAGES)).batch(
        2
    ),
    "tf.data of pairs": lambda: tf.data.Dataset.from_tensor_slices((IMAGES, [0] * 6)),
    "tf.data of ragged batches": lambda: tf.data.Dataset.from_tensor_slices(
        IMAGES
    ).ragged_batch(2),
    "PyDataset": lambda: Loader(),
    "DataLoader of batches": lambda: torch.utils.data.DataLoader(
        Elements(), batch_size=2
    ),
    "DataLoader of images": lambda: torch.utils.data.DataLoader(
        Elements(), batch_size=None
    ),
}
