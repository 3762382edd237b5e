from dataclasses import asdict, dataclass
from typing import Any

from keras_rlr.inputs.image_measures import MEASURES

SCORES, UNKNOWN_PRODUCTS = "scores", "unknown_products"
# What has a distribution that is compared.
QUANTITIES = (SCORES, *MEASURES)


@dataclass(frozen=True)
class DriftWindow:
    """What some consecutive images of a product say of drift.

    Args:
        test: "scores", "brightness" or "sharpness", how they are distributed; or
            "unknown_products", how many of consecutive images of all products show none
            that the model knows.
        category: The product; None for images whose product is not known, and for
            those of all products.
        first: Row of the first image, from 1, errors counted.
        last: Row of the last image.
        first_path: Path of the first image.
        images: Number of images with a value.
        beyond: Number of values beyond those that are compared in full; of
            "unknown_products", the number of images that show none.
        p_value: Probability that unchanged images differ so much, at most.
        limit: The p-value below which it is drift.
        median: The median of the values; None of "unknown_products".
        usual_median: The same of calibration.
        psi: Population stability index.
        psi_by_chance: What it is for unchanged images on average.
    """

    test: str
    category: str | None
    first: int
    last: int
    first_path: str
    images: int
    beyond: int
    p_value: float
    limit: float
    median: float | None = None
    usual_median: float | None = None
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
        product = "all images" if self.category is None else self.category
        return f"{self.test} of {product}"

    def as_json(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return {**asdict(self), "drift": self.drift}
