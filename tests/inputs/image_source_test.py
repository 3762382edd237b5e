"""What a batch is, and what an image with its label, in data of every kind."""

import numpy as np
import pytest
import tensorflow as tf
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from keras_rlr.inputs.image_source import ImageSource
from tests.inputs.pictures import Batches, delivered, loader, pictures

pytestmark = pytest.mark.backend_independent


class Stream(torch.utils.data.IterableDataset):
    def __init__(self, samples):
        self.samples = samples

    def __iter__(self):
        return iter(self.samples)


class Lazy:
    """A sequence that is no list."""

    def __init__(self, samples):
        self.samples = samples

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, index):
        return self.samples[index]


def cut(samples, size):
    return [samples[i : i + size] for i in range(0, len(samples), size)]


def stacked(images):
    """An array where sizes allow it, else the list."""
    same = len({image.shape for image in images}) == 1
    return np.stack(images) if same else list(images)


def as_dicts(images, labels):
    return [{"image": i, "label": y} for i, y in zip(images, labels, strict=True)]


def as_pairs(images, labels):
    return list(zip(images, labels, strict=True))


def as_lists(images, labels):
    return [[i, y] for i, y in zip(images, labels, strict=True)]


def columns(pairs):
    return tuple(zip(*pairs, strict=True))


def tf_images(images):
    specification = tf.TensorSpec((None,) * (images[0].ndim - 1) + (3,), "uint8")
    return tf.data.Dataset.from_generator(
        lambda: iter(images), output_signature=specification
    )


# name: (makes the data, whether labels come with it, whether sizes may differ)
KINDS = {
    "list": (lambda x, y, n: list(x), False, True),
    "array": (lambda x, y, n: np.stack(x), False, False),
    "object array": (
        lambda x, y, n: np.array([*x, None], object)[:-1],
        False,
        True,
    ),
    "list of Pillow images": (
        lambda x, y, n: [Image.fromarray(i) for i in x],
        False,
        True,
    ),
    "lazy sequence": (lambda x, y, n: Lazy(x), False, True),
    "list of dicts": (lambda x, y, n: as_dicts(x, y), True, True),
    "tuple of dicts": (lambda x, y, n: tuple(as_dicts(x, y)), True, True),
    "list of pairs": (lambda x, y, n: as_pairs(x, y), True, True),
    "tuple of pairs": (lambda x, y, n: tuple(as_pairs(x, y)), True, True),
    "list of lists": (lambda x, y, n: as_lists(x, y), True, True),
    "dict of arrays": (
        lambda x, y, n: {"image": np.stack(x), "label": np.array(y)},
        True,
        False,
    ),
    "dict of lists": (lambda x, y, n: {"image": x, "label": y}, True, True),
    "tuple of arrays": (lambda x, y, n: (np.stack(x), np.array(y)), True, False),
    "tuple of lists": (lambda x, y, n: (list(x), list(y)), True, True),
    "ragged tensor": (lambda x, y, n: tf.ragged.stack(x), False, True),
    "tf.data of images": (lambda x, y, n: tf_images(x), False, True),
    "tf.data of ragged batches": (
        lambda x, y, n: tf_images(x).ragged_batch(n),
        False,
        True,
    ),
    "tf.data of batches": (
        lambda x, y, n: tf.data.Dataset.from_tensor_slices(np.stack(x)).batch(n),
        False,
        False,
    ),
    "tf.data of pairs": (
        lambda x, y, n: tf.data.Dataset.from_tensor_slices((np.stack(x), y)),
        True,
        False,
    ),
    "tf.data of batches of pairs": (
        lambda x, y, n: tf.data.Dataset.from_tensor_slices((np.stack(x), y)).batch(n),
        True,
        False,
    ),
    "tf.data of batches of dicts": (
        lambda x, y, n: tf.data.Dataset.from_tensor_slices(
            {"image": np.stack(x), "label": y}
        ).batch(n),
        True,
        False,
    ),
    "PyDataset of images": (
        lambda x, y, n: Batches([stacked(part) for part in cut(x, n)]),
        False,
        True,
    ),
    "PyDataset of pairs": (
        lambda x, y, n: Batches(
            [
                (stacked(i), np.array(j))
                for i, j in zip(cut(x, n), cut(y, n), strict=True)
            ]
        ),
        True,
        True,
    ),
    "PyDataset of dicts": (
        lambda x, y, n: Batches(
            [
                {"image": stacked(i), "label": np.array(j)[:, None]}
                for i, j in zip(cut(x, n), cut(y, n), strict=True)
            ]
        ),
        True,
        True,
    ),
    "loader": (lambda x, y, n: loader(x, batch_size=n), False, False),
    "loader of pairs": (
        lambda x, y, n: loader(as_pairs(x, y), batch_size=n),
        True,
        False,
    ),
    "loader of one-tuples": (
        lambda x, y, n: loader([(i,) for i in x], batch_size=n),
        False,
        False,
    ),
    "loader of dicts": (
        lambda x, y, n: loader(as_dicts(x, y), batch_size=n),
        True,
        False,
    ),
    "loader, lists": (
        lambda x, y, n: loader(x, batch_size=n, collate_fn=list),
        False,
        True,
    ),
    "loader, lists of tensors": (
        lambda x, y, n: loader(
            [torch.from_numpy(i) for i in x], batch_size=n, collate_fn=list
        ),
        False,
        True,
    ),
    "loader, lists of Pillow images": (
        lambda x, y, n: loader(
            [Image.fromarray(i) for i in x], batch_size=n, collate_fn=list
        ),
        False,
        True,
    ),
    "loader, lists of pairs": (
        lambda x, y, n: loader(as_pairs(x, y), batch_size=n, collate_fn=list),
        True,
        True,
    ),
    "loader, lists of dicts": (
        lambda x, y, n: loader(as_dicts(x, y), batch_size=n, collate_fn=list),
        True,
        True,
    ),
    "loader, tuples of dicts": (
        lambda x, y, n: loader(as_dicts(x, y), batch_size=n, collate_fn=tuple),
        True,
        True,
    ),
    "loader, tuples of pairs": (
        lambda x, y, n: loader(as_pairs(x, y), batch_size=n, collate_fn=tuple),
        True,
        True,
    ),
    "loader, columns": (
        lambda x, y, n: loader(as_pairs(x, y), batch_size=n, collate_fn=columns),
        True,
        True,
    ),
    "loader, columns in a list": (
        lambda x, y, n: loader(
            as_pairs(x, y), batch_size=n, collate_fn=lambda p: [*map(list, columns(p))]
        ),
        True,
        True,
    ),
    "loader, dicts of lists": (
        lambda x, y, n: loader(
            as_dicts(x, y),
            batch_size=n,
            collate_fn=lambda part: {k: [e[k] for e in part] for k in part[0]},
        ),
        True,
        True,
    ),
    "loader, nested tensors": (
        lambda x, y, n: loader(
            [torch.from_numpy(i) for i in x],
            batch_size=n,
            collate_fn=torch.nested.nested_tensor,
        ),
        False,
        True,
    ),
    "loader, one by one": (
        lambda x, y, n: loader(as_pairs(x, y), batch_size=1, collate_fn=lambda p: p[0]),
        True,
        True,
    ),
    "loader without batches": (
        lambda x, y, n: loader(as_pairs(x, y), batch_size=None),
        True,
        True,
    ),
    "loader of lists without batches": (
        lambda x, y, n: loader(cut(x, n), batch_size=None),
        False,
        True,
    ),
    "loader of a stream": (
        lambda x, y, n: torch.utils.data.DataLoader(
            Stream(as_pairs(x, y)), batch_size=n, collate_fn=list
        ),
        True,
        True,
    ),
}


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
@settings(deadline=None, max_examples=12)
@given(
    count=st.integers(1, 12),
    size=st.integers(1, 5),
    mixed=st.booleans(),
    labels=st.lists(st.integers(0, 2), min_size=12, max_size=12),
)
@pytest.mark.parametrize("kind", KINDS)
def test_as_many_outputs_as_images_in_order(kind, count, size, mixed, labels):
    make, labelled, any_size = KINDS[kind]
    images, labels = pictures(count, mixed and any_size), labels[:count]
    source = ImageSource(make(images, labels, size), size)
    found, batches = delivered(source)
    expected = [bool(y) if labelled else None for y in labels]
    assert found == list(enumerate(expected))
    assert source.num_batches() in (None, batches)
    # And again: a second pass has the same.
    assert delivered(source) == (found, batches)


@settings(deadline=None, max_examples=10)
@given(count=st.integers(1, 12), size=st.integers(1, 5), mixed=st.booleans())
@pytest.mark.parametrize("kind", ["list", "array", "PyDataset", "loader", "collated"])
def test_grey_images_without_a_channel_axis(kind, count, size, mixed):
    images = pictures(count, mixed and kind in ("list", "PyDataset"), grey=True)
    data = {
        "list": lambda: images,
        "array": lambda: np.stack(images),
        "PyDataset": lambda: Batches([stacked(part) for part in cut(images, size)]),
        "loader": lambda: loader(images, batch_size=size),
        "collated": lambda: loader([(i, 0) for i in images], batch_size=size),
    }[kind]()
    found, _ = delivered(ImageSource(data, size))
    assert [image for image, _ in found] == list(range(count))


def test_an_image_paired_with_itself_counts_once():
    images = pictures(5, mixed=False)
    pairs = list(zip(images, images, strict=True))
    expected = [(i, None) for i in range(5)]
    for data in (
        pairs,
        loader(pairs, batch_size=2),
        tf.data.Dataset.from_tensor_slices((np.stack(images),) * 2).batch(2),
        (np.stack(images), np.stack(images)),
    ):
        assert delivered(ImageSource(data, 2))[0] == expected
