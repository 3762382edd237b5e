"""Exact metrics of NumPy arrays, as Python floats."""

from keras_rlr.metrics.functional.aupro import aupro
from keras_rlr.metrics.functional.figures import image_figures, pixel_figures
from keras_rlr.metrics.functional.ranking import auroc, average_precision, f1_max

__all__ = [
    "aupro",
    "auroc",
    "average_precision",
    "f1_max",
    "image_figures",
    "pixel_figures",
]
