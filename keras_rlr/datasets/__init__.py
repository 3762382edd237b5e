"""Data sets: any folder in MVTec AD's layout, and a procedural one."""

from keras_rlr.datasets.folder_dataset import FolderDataset, Sample
from keras_rlr.datasets.image_files import find_images, read_image
from keras_rlr.datasets.procedural import (
    PROCEDURAL_CATEGORIES,
    write_procedural_dataset,
)

__all__ = [
    "PROCEDURAL_CATEGORIES",
    "FolderDataset",
    "Sample",
    "find_images",
    "read_image",
    "write_procedural_dataset",
]
