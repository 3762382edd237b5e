"""Mean and variance of feature channels, summed over a stream of batches."""

from typing import Any

import numpy as np


class ChannelMoments:
    """Running first and second moment of every channel, in float64.

    Sums are taken of differences to the first batch's mean, because a variance from
    raw sums loses digits where the mean is large against the spread.
    """

    def __init__(self):
        self.count = 0
        self._shift: Any = None
        self._sum = 0.0
        self._sum_of_squares = 0.0

    def update(self, features):
        """Adds an array (..., C)."""
        tokens = features.reshape(-1, features.shape[-1]).astype("float64")
        if self._shift is None:
            self._shift = tokens.mean(axis=0)
        tokens -= self._shift
        self.count += len(tokens)
        self._sum = self._sum + tokens.sum(axis=0)
        self._sum_of_squares = self._sum_of_squares + np.square(tokens).sum(axis=0)

    @property
    def mean(self):
        """Array (C,)."""
        return self._shift + self._sum / self.count

    @property
    def variance(self):
        """Array (C,), of the population."""
        variance = self._sum_of_squares / self.count
        return np.maximum(variance - np.square(self._sum / self.count), 0.0)
