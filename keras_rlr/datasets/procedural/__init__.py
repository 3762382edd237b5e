"""A data set of painted products, made from a seed."""

from keras_rlr.datasets.procedural.render_product import PROCEDURAL_CATEGORIES
from keras_rlr.datasets.procedural.write_procedural_dataset import (
    write_procedural_dataset,
)

__all__ = ["PROCEDURAL_CATEGORIES", "write_procedural_dataset"]
