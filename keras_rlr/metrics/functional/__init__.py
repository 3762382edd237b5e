"""Exact metrics of NumPy arrays, as Python floats."""

from keras_rlr.metrics.functional.aupro import aupro
from keras_rlr.metrics.functional.auroc import auroc
from keras_rlr.metrics.functional.average_precision import average_precision
from keras_rlr.metrics.functional.f1_max import f1_max
from keras_rlr.metrics.functional.figures import image_figures, pixel_figures

__all__ = [
    "aupro",
    "auroc",
    "average_precision",
    "f1_max",
    "image_figures",
    "pixel_figures",
]
