"""What is known of one image that was scored, and how tables write it."""

from dataclasses import dataclass
from pathlib import Path

UNKNOWN_PRODUCT = "(unknown)"
# Spreadsheets take cells that begin so for formulas.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass
class Prediction:
    """What became of one image: a row of `scores.csv`.

    Args:
        path: Its path below the folder of images, with forward slashes.
        anomaly_score: Its score, or None if it could not be read.
        is_anomalous: Whether the score reaches the threshold; None without one.
        error: Why it could not be read or scored, or "".
        category: The product it shows, by whose threshold it is decided; None for the
            threshold of all products, or where `is_known_category` is False.
        is_known_category: Whether it shows a product that the model knows; None if it
            was not looked for, because the model knows none or the category was given.
        comparable_score: The score in units that mean the same for all products; None
            where the model knows none.
        regions: The number of its regions; None if they were not looked for.
        brightness: See `keras_rlr.inputs.image_measures.measure_image`; None if the
            image could not be read.
        sharpness: The same.
    """

    path: str
    anomaly_score: float | None = None
    is_anomalous: bool | None = None
    error: str = ""
    category: str | None = None
    is_known_category: bool | None = None
    comparable_score: float | None = None
    regions: int | None = None
    brightness: float | None = None
    sharpness: float | None = None

    @property
    def category_name(self) -> str | None:
        """The category as tables write it; None where nothing is known of it."""
        if self.category is None and self.is_known_category is False:
            return UNKNOWN_PRODUCT
        return self.category


def path_below(path: Path, root: Path) -> str:
    """The path of an image as tables write it.

    Args:
        path: The image's file.
        root: The folder that it lies in.

    Returns:
        The path below the folder; it is no formula to spreadsheets.
    """
    return no_formula(path.relative_to(root).as_posix())


def no_formula(name: str) -> str:
    """The same relative path in a form that spreadsheets take for no formula."""
    return f"./{name}" if name.startswith(_FORMULA) else name
