from dataclasses import dataclass
from typing import Any

from keras_rlr.evaluation.drift.drift_window import DriftWindow


@dataclass(frozen=True)
class Drift:
    """What became of scores since calibration.

    Args:
        windows: The `DriftWindow`s, by product and in order.
        images: Number of rows of the table.
        failed: Number of rows without a score that can be used.
        unknown: Number of scored images that show no product that the model knows.
        notes: Sentences on what was not judged, and on what the tests rest.
        series: By quantity and product, row numbers from 1 and values of the images.
    """

    windows: list[DriftWindow]
    images: int
    failed: int
    unknown: int
    notes: list[str]
    series: dict[tuple[str, str | None], tuple[Any, Any]]

    @property
    def drift(self) -> bool:
        """Whether any window drifted."""
        return any(window.drift for window in self.windows)

    def as_json(self) -> dict[str, Any]:
        """Dict of "drift" and "windows"."""
        return {
            "drift": self.drift,
            "windows": [window.as_json() for window in self.windows],
        }
