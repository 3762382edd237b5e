"""Measuring a model on a data set, and looking at what it finds."""

from keras_rlr.evaluation.evaluate_model import evaluate_model
from keras_rlr.evaluation.overlay import HeatScale, draw_overlay

__all__ = ["HeatScale", "draw_overlay", "evaluate_model"]
