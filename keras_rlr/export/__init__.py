"""A trained model as a file that runs without this package."""

from keras_rlr.export.export_model import FORMATS, QUANTIZATIONS, export_model

__all__ = ["FORMATS", "QUANTIZATIONS", "export_model"]
