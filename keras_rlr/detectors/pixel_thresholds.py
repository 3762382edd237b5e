import json
from dataclasses import dataclass


@dataclass(frozen=True)
class PixelThresholds:
    """The values of an anomaly map from which on its pixels are anomalous.

    They are of the largest values of normal images' maps: a new normal image has a
    pixel that reaches its threshold with a probability of at most the false-positive
    rate. Scores of images are other numbers, in other units for some methods.

    Args:
        of_all: The threshold of all images, or None before calibration, and of files
            of versions that had none.
        by_category: Pairs of a category and its own threshold.

    Example:

    >>> thresholds = keras_rlr.detectors.pixel_thresholds.PixelThresholds(
    ...     2.0, (("bottle", 1.5),)
    ... )
    >>> thresholds.of("bottle"), thresholds.of(None)
    (1.5, 2.0)
    """

    of_all: float | None = None
    # Pairs, because Keras replaces dicts by its own, which it empties on loading.
    by_category: tuple[tuple[str, float], ...] = ()

    def of(self, category: str | None) -> float | None:
        """The threshold of a category: its own, or that of all images."""
        return dict(self.by_category).get(category or "", self.of_all)

    @property
    def lowest(self) -> float | None:
        """The lowest of them, below which nothing reaches any; None without any."""
        if self.of_all is None:
            return None
        return min([self.of_all, *(value for _, value in self.by_category)])

    def to_json(self) -> str:
        """All of it as text, for a file."""
        return json.dumps([self.of_all, self.by_category])

    @classmethod
    def from_json(cls, text: str | bytes) -> "PixelThresholds":
        """What `to_json` made text of."""
        of_all, by_category = json.loads(text)
        return cls(of_all, tuple((name, value) for name, value in by_category))
