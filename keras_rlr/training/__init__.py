"""Training runs: hold out, train, checkpoint, resume, calibrate, save."""

from keras_rlr.training.interruption import TrainingInterrupted
from keras_rlr.training.train import train

__all__ = ["TrainingInterrupted", "train"]
