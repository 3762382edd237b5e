"""A trained model as a file that runs without this package."""

from keras_rlr.export.export_model import QUANTIZATIONS, export_model
from keras_rlr.export.target import FORMATS

__all__ = ["FORMATS", "QUANTIZATIONS", "export_model"]
