"""The figures of the paper's tables 1 and 2, to compare with."""

from dataclasses import dataclass, field

from keras_rlr.datasets.catalogue import CATALOGUE, PublishedDataset
from keras_rlr.evaluation.paper_tables import printed_rows

_TABLES = {"mvtec_ad": 1, "visa": 2}
PUBLISHED = ("image_auroc", "pixel_auroc")


@dataclass(frozen=True)
class PublishedResults:
    """What a method reached on a data set, as printed.

    Args:
        title: The data set's name as its authors write it.
        method: The method, as its authors write it: "RLR".
        categories: For each category, fractions by the names of `PUBLISHED`.
        mean: The same of the printed mean.
    """

    title: str
    method: str
    categories: dict = field(default_factory=dict)
    mean: dict = field(default_factory=dict)


def published_results(
    counts: dict[str, tuple[int, int]], method: str = "RLR"
) -> PublishedResults | None:
    """Returns the printed results on the data set that has these test images.

    A name alone would take anyone's screws for those of MVTec AD.

    Args:
        counts: For each category, (normal, anomalous) test images.
        method: Name of the method's class.

    Returns:
        `PublishedResults`, or None if no published data set has such categories, or
        the paper printed no results of the method on it.

    Example:

    >>> from keras_rlr.evaluation.published_results import published_results
    >>> published_results({"candle": (100, 100)}).mean["pixel_auroc"]
    0.992
    """
    for dataset in CATALOGUE.values():
        published = {name: tuple(c[1:]) for name, c in dataset.counts.items()}
        if counts and counts.items() <= published.items():
            return _read(dataset, method)
    return None


def _read(dataset: PublishedDataset, method: str) -> PublishedResults | None:
    printed = printed_rows(_TABLES[dataset.name])
    if method not in printed:
        return None
    results = PublishedResults(dataset.title, method)
    for category, pair in printed[method].items():
        figures = {
            name: round(value / 100, 5)
            for name, value in zip(PUBLISHED, pair, strict=True)
        }
        if category == "mean":
            results.mean.update(figures)
        else:
            results.categories[category] = figures
    return results
