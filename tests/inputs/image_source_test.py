"""What a batch is, what an image with its label, and what is refused as neither."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from keras_rlr.inputs.first_batches import FirstBatches
from keras_rlr.inputs.image_source import ImageSource
from keras_rlr.inputs.labels import label_of

pytestmark = pytest.mark.backend_independent


def pictures(count, mixed, grey=False):
    """Images that can be told apart by any of their pixels."""
    sizes = [
        (8 + i % 3 if mixed else 8, 10 + i % 2 if mixed else 10) for i in range(99)
    ]
    shapes = [size if grey else (*size, 3) for size in sizes]
    return [np.full(shapes[i], 20 + i, "uint8") for i in range(count)]


def delivered(source):
    """(what each image is, its label) in order, and the number of batches."""
    batches = list(source.batches())
    found = [
        (int(np.ravel(element["image"])[0]) - 20, label_of(element, 0))
        for batch in batches
        for element in batch
    ]
    for batch in batches:
        for element in batch:
            assert np.ndim(element["image"]) in (2, 3)
            assert len(np.unique(element["image"])) == 1
    return found, len(batches)


class Samples(torch.utils.data.Dataset):
    def __init__(self, samples):
        self.samples = samples

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, index):
        return self.samples[index]


class Stream(torch.utils.data.IterableDataset):
    def __init__(self, samples):
        self.samples = samples

    def __iter__(self):
        return iter(self.samples)


class Batches(keras.utils.PyDataset):
    def __init__(self, batches):
        super().__init__()
        self.batches = batches

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, index):
        return self.batches[index]


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


def loader(samples, **options):
    return torch.utils.data.DataLoader(Samples(samples), **options)


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


def refused(data, message, **options):
    with pytest.raises(ValueError, match=message):
        delivered(ImageSource(data, 2, **options))


def test_what_is_neither_is_refused():
    a, b, c = pictures(3, mixed=False)
    refused((a, b), r"a tuple is \(images, labels\)")
    refused((a, b, c, a), "tuple of 4 parts")
    refused((a, 0), "looks like a single image")
    refused({"image": a}, "looks like a single image")
    refused(loader([a, b, c], batch_size=2, collate_fn=tuple), "batch of images a list")
    refused([(a, b), (b, c)], "The second part of a tuple is the label")
    refused([(a, a[..., :1])], "The second part of a tuple is the label")
    refused([[a, b]], "An entry of a sequence is one image")
    refused(iter([a, b]), "can be read once")
    refused((x for x in [a]), "can be read once")
    refused({"image": [a, b], "label": [0]}, "2 images came with 1 values of 'label'")
    refused({"image": [a, b], "mask": [a]}, "2 images came with 1 values of 'mask'")
    refused(
        tf.data.Dataset.from_tensors(np.zeros((4, 8, 9), "uint8")),
        "batch of grey images without a channel axis",
    )
    refused(
        loader([(a, b), (b, c)], batch_size=2),
        "The second part of a tuple is the label",
    )


def test_a_list_that_was_a_tuple_is_no_batch_of_masks():
    """PyTorch makes lists of tuples where it does not batch."""
    image = np.random.default_rng(0).integers(0, 256, (8, 10, 3)).astype("uint8")
    for second in (image, image[..., :1], image[..., 0]):
        data = loader([(image, second)], batch_size=None)
        refused(data, "a tuple that PyTorch made a list of")


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


@pytest.mark.parametrize("key", ["category", "path", "mask"])
@pytest.mark.parametrize("batched", [False, True])
def test_one_value_for_all_images_is_refused_in_a_sentence(key, batched):
    values = ["good", b"good", np.array("good"), tf.constant("good"), 1]
    for value in values if key != "mask" else [1, np.array(1)]:
        data = {"image": np.stack(pictures(3, mixed=False)), key: value}
        refused(
            Batches([data]) if batched else data,
            rf"3 images came with .* alone as '{key}'\. .*\[{key}\] \* 3",
        )
    # As of labels, which are refused where they are used.
    ones = {"image": data["image"], "label": 0}
    with pytest.raises(ValueError, match="one label for 3 images"):
        delivered(ImageSource(ones, 3))


def test_labels_beside_the_images():
    images = pictures(4, mixed=True)
    for labels in (
        [0, 1, 0, 2],
        np.array([[0], [1], [0], [2]]),
        np.array([0.0, 1, 0, 9]),
    ):
        found, _ = delivered(ImageSource(images, 3, labels))
        assert [label for _, label in found] == [False, True, False, True]
    refused(images, "4 images came with 3 values of 'label'", labels=[0, 0, 0])
    refused((images, [0] * 4), "labels twice", labels=[0] * 4)
    refused([(i, 0) for i in images], "label twice", labels=[0] * 4)
    refused(tf.data.Dataset.from_tensors(1), "brings its labels itself", labels=[0])


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ("good", "'good'"),
        (b"good", "good"),
        (np.array("ok"), "'ok'"),
        (0.5, "0.5"),
        (np.nan, "nan"),
        ([0, 1], r"\[0, 1\]"),
        (np.array([0, 1, 0]), r"array of shape \(3,\)"),
        ({"boxes": 1}, "boxes"),
    ],
)
def test_what_can_be_no_label_is_refused_where_labels_are_used(label, message):
    (image,) = pictures(1, mixed=False)
    ((element,),) = ImageSource([(image, label)], 1).batches()
    with pytest.raises(ValueError, match=f"label of element 7.*{message}.*whole numb"):
        label_of(element, 7)


def test_one_hot_labels_of_batches_are_refused_where_labels_are_used():
    images = np.stack(pictures(3, mixed=False))
    for data in (
        (images, np.eye(3)),
        tf.data.Dataset.from_tensors((images, np.eye(3))),
        Batches([(images, np.eye(3))]),
    ):
        (batch,) = ImageSource(data, 3).batches()
        with pytest.raises(ValueError, match=r"array of shape \(3,\).*argmax"):
            label_of(batch[0], 0)


def test_sample_weights_are_refused_unless_they_are_1():
    images = np.stack(pictures(3, mixed=False))
    ones = ImageSource((images, np.zeros(3), np.ones(3)), 3)
    assert delivered(ones)[0] == [(0, False), (1, False), (2, False)]
    for third in (np.array([1, 2, 1]), np.zeros((3, 8, 10))):
        refused(
            (images, np.zeros(3), third), "third part that is not the sample weight"
        )
        refused(Batches([(images, np.zeros(3), third)]), "third part that is not")


class Endless(keras.utils.PyDataset):
    num_batches = None

    def __getitem__(self, index):
        return np.full((2, 8, 8, 3), 20 + index, "uint8")


class WithoutLength(keras.utils.PyDataset):
    def __getitem__(self, index):
        return np.full((2, 8, 8, 3), 20 + index, "uint8")


def plain():
    return tf.data.Dataset.from_tensor_slices(np.stack(pictures(3, mixed=False)))


def test_data_that_has_no_end_is_known():
    endless = (
        plain().repeat(),
        plain().repeat().batch(2),
        plain().repeat().filter(lambda image: tf.reduce_max(image) > 0).batch(2),
        plain().batch(1).repeat().unbatch().shuffle(3).prefetch(1),
        Endless(),
        WithoutLength(),
    )
    for data in endless:
        source = ImageSource(data, 2)
        assert source.is_endless, data
        first = FirstBatches(source, 3)
        assert first.num_batches() == len(list(first.batches())) == 3
    finite = (
        plain(),
        plain().repeat(3),
        plain().repeat().take(2),
        plain().filter(lambda image: tf.reduce_max(image) > 0),
        plain().repeat().take_while(lambda image: tf.reduce_max(image) < 22),
        plain().repeat().filter(lambda image: tf.reduce_max(image) > 20).take(4),
        pictures(2, mixed=False),
        loader(pictures(2, mixed=False)),
        Batches([np.stack(pictures(2, mixed=False))]),
    )
    for data in finite:
        source = ImageSource(data, 2)
        assert not source.is_endless
        list(source.batches())


def test_fewer_batches_than_steps_are_told():
    for data in (pictures(5, mixed=False), plain().filter(lambda _: True)):
        with pytest.warns(UserWarning, match="`steps=9` batches .* the data has"):
            list(FirstBatches(ImageSource(data, 2), 9).batches())
    with pytest.raises(ValueError, match="`steps` must be at least 1"):
        FirstBatches(ImageSource(pictures(5, mixed=False), 2), 0)
