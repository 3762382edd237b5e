import pytest

from keras_rlr.datasets.catalogue import CATALOGUE, published_dataset
from keras_rlr.evaluation.published_results import published_results

pytestmark = pytest.mark.backend_independent


def counts_of(name):
    return {key: counts[1:] for key, counts in CATALOGUE[name].counts.items()}


@pytest.mark.parametrize(
    ("name", "title", "mean"),
    [
        ("mvtec_ad", "MVTec AD", {"image_auroc": 0.986, "pixel_auroc": 0.985}),
        ("visa", "VisA", {"image_auroc": 0.959, "pixel_auroc": 0.992}),
    ],
)
def test_the_papers_tables(name, title, mean):
    published = published_results(counts_of(name))
    assert (published.title, published.method) == (title, "RLR")
    assert published.mean == mean
    assert set(published.categories) == set(CATALOGUE[name].counts)
    values = [row["image_auroc"] for row in published.categories.values()]
    assert sum(values) / len(values) == pytest.approx(mean["image_auroc"], abs=6e-4)


def test_a_part_of_the_categories_is_enough_and_others_are_too_many():
    candle = {"candle": (100, 100)}
    assert published_results(candle).categories["candle"]["image_auroc"] > 0.9
    assert published_results({**candle, "bottle": (20, 63)}) is None
    assert published_results({}) is None


def test_anyones_screws_are_not_those_of_mvtec_ad():
    assert published_results({"screw": (41, 119)}).title == "MVTec AD"
    assert published_results({"screw": (40, 119)}) is None


def counts_of_are_the_published_ones():
    def totals(name):
        counts = published_dataset(name).counts.values()
        return [sum(column) for column in zip(*counts, strict=True)]

    assert totals("mvtec_ad") == [3629, 467, 1258]
    assert totals("visa") == [8659, 962, 1200]
