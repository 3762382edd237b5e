import collections

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_rlr.datasets import FolderDataset
from keras_rlr.training.hold_out import hold_out

pytestmark = pytest.mark.backend_independent


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """A data set of 1, 7 and 20 images, which nothing here reads."""
    root = tmp_path_factory.mktemp("data")
    for category, count in (("a", 1), ("b", 7), ("c", 20)):
        folder = root / category / "train" / "good"
        folder.mkdir(parents=True)
        for i in range(count):
            (folder / f"{i:02d}.png").touch()
    return FolderDataset(root, "train")


def paths(dataset):
    return [sample.path for sample in dataset.samples]


def per_category(dataset):
    return collections.Counter(sample.category for sample in dataset.samples)


@given(fraction=st.floats(0, 0.999), seed=st.integers(0, 2**32))
def test_every_image_is_on_one_side_and_some_of_each_category_stay(
    dataset, fraction, seed
):
    fitted, held = hold_out(dataset, fraction, seed)
    assert sorted(paths(fitted) + paths(held)) == sorted(paths(dataset))
    assert set(per_category(fitted)) == {"a", "b", "c"}
    assert paths(fitted) == sorted(paths(fitted))


@pytest.mark.parametrize(
    ("fraction", "expected"),
    [
        (0, {}),
        (0.01, {"b": 1, "c": 1}),
        (0.1, {"b": 1, "c": 2}),
        (0.5, {"b": 4, "c": 10}),
        (0.99, {"b": 6, "c": 19}),
    ],
)
def test_each_category_gives_its_share(dataset, fraction, expected):
    assert per_category(hold_out(dataset, fraction, 0)[1]) == expected


def test_the_seed_decides(dataset):
    first = paths(hold_out(dataset, 0.5, 1)[1])
    assert first == paths(hold_out(dataset, 0.5, 1)[1])
    assert first != paths(hold_out(dataset, 0.5, 2)[1])


@pytest.mark.parametrize("fraction", [-0.1, 1.0, float("nan")])
def test_refuses(dataset, fraction):
    with pytest.raises(ValueError, match="at least 0 and below 1"):
        hold_out(dataset, fraction, 0)
