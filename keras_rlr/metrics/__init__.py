"""Metrics of anomaly detection: exact functions, and streaming Keras metrics."""

from keras_rlr.metrics import functional
from keras_rlr.metrics.aupro import AUPRO
from keras_rlr.metrics.auroc import AUROC
from keras_rlr.metrics.average_precision import AveragePrecision
from keras_rlr.metrics.f1_max import F1Max

__all__ = ["AUPRO", "AUROC", "AveragePrecision", "F1Max", "functional"]
