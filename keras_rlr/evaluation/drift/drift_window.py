from dataclasses import asdict, dataclass
from typing import Any

SCORES, UNKNOWN_PRODUCTS = "scores", "unknown_products"


@dataclass(frozen=True)
class DriftWindow:
    """What some consecutive images of a product say of drift.

    Args:
        test: "scores", how they are distributed; or "unknown_products", how many of
            consecutive images of all products show none that the model knows.
        category: The product; None for images whose product is not known, and for
            those of all products.
        first: Row of the first image, from 1, errors counted.
        last: Row of the last image.
        first_path: Path of the first image.
        images: Number of images with a score.
        above: Number of scores above the highest that are compared in full; of
            "unknown_products", the number of images that show none.
        p_value: Probability that unchanged images differ so much, at most.
        limit: The p-value below which it is drift.
        median_score: The median of the scores; None of "unknown_products".
        usual_median_score: The same of calibration.
        psi: Population stability index.
        psi_by_chance: What it is for unchanged images on average.
    """

    test: str
    category: str | None
    first: int
    last: int
    first_path: str
    images: int
    above: int
    p_value: float
    limit: float
    median_score: float | None = None
    usual_median_score: float | None = None
    psi: float | None = None
    psi_by_chance: float | None = None

    @property
    def drift(self) -> bool:
        """Whether it differs more than unchanged images would."""
        return self.p_value < self.limit

    @property
    def title(self) -> str:
        """What it is of, in words."""
        if self.test == UNKNOWN_PRODUCTS:
            return "images of no known product"
        return "all images" if self.category is None else self.category

    def as_json(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return {**asdict(self), "drift": self.drift}
