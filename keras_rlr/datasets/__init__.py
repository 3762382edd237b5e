"""Data sets: folders in the usual layouts, published ones and a procedural one."""

from keras_rlr.datasets.find_images import account_for_images, find_images
from keras_rlr.datasets.folder_dataset import FolderDataset
from keras_rlr.datasets.image_files import read_image
from keras_rlr.datasets.procedural import (
    PROCEDURAL_CATEGORIES,
    write_procedural_dataset,
)
from keras_rlr.datasets.sample import Sample
from keras_rlr.datasets.tfds_builders import register_builders

__all__ = [
    "PROCEDURAL_CATEGORIES",
    "FolderDataset",
    "Sample",
    "account_for_images",
    "find_images",
    "read_image",
    "write_procedural_dataset",
]

register_builders()
