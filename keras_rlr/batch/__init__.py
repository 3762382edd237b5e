"""Scoring of very many images on Ray Data."""

from keras_rlr.batch.scoring import score_images

__all__ = ["score_images"]
