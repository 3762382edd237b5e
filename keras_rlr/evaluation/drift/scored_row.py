import math
from dataclasses import dataclass


@dataclass(frozen=True)
class ScoredRow:
    """A row of `scores.csv`.

    Args:
        path: The image's path.
        score: Its anomaly score; NaN or infinite where it has none that can be used.
        error: Why it could not be read or scored, or "".
        category: The product as the table has it, "" where it does not say.
    """

    path: str
    score: float
    error: str = ""
    category: str = ""

    @property
    def is_scored(self) -> bool:
        """Whether it has a score, and no error."""
        return not self.error and math.isfinite(self.score)
