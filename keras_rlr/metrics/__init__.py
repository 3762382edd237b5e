"""Metrics of anomaly detection."""

from keras_rlr.metrics import functional

__all__ = ["functional"]
