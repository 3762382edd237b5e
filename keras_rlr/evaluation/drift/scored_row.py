import math
from dataclasses import dataclass, field


@dataclass(frozen=True)
class ScoredRow:
    """A row of `scores.csv`.

    Args:
        path: The image's path.
        score: Its anomaly score; NaN or infinite where it has none that can be used.
        error: Why it could not be read or scored, or "".
        category: The product as the table has it, "" where it does not say.
        measures: What was measured of the image, by the names in
            `keras_rlr.inputs.image_measures.MEASURES`; NaN or missing where the table
            does not have it.
    """

    path: str
    score: float
    error: str = ""
    category: str = ""
    measures: dict[str, float] = field(default_factory=dict, compare=False)

    @property
    def is_scored(self) -> bool:
        """Whether it has a score, and no error."""
        return not self.error and math.isfinite(self.score)

    @property
    def facts(self) -> tuple[str, ...]:
        """All that it says, as text: NaN is equal to itself there."""
        measures = [f"{name}={value!r}" for name, value in self.measures.items()]
        return (self.path, repr(self.score), self.error, self.category, *measures)

    def value(self, quantity: str) -> float:
        """The score or a measure; NaN or infinite where there is none.

        Args:
            quantity: "scores", or the name of a measure.
        """
        if quantity in self.measures:
            return self.measures[quantity]
        return self.score if quantity == "scores" else math.nan
