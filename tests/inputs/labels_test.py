"""What a label can be, where it comes from, and what a sample weight may say."""

import re
import warnings

import numpy as np
import pytest
import tensorflow as tf

from keras_rlr.inputs.image_source import ImageSource
from keras_rlr.inputs.labels import label_of
from tests.inputs.pictures import Batches, delivered, pictures, refused

pytestmark = pytest.mark.backend_independent


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


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        *((key, "label") for key in ("labels", "Label", "gt_label", "is_anomalous")),
        *((key, "mask") for key in ("masks", "gt_mask", "ground_truth")),
    ],
)
@pytest.mark.parametrize("kind", ["elements", "columns", "batches"])
def test_keys_that_may_be_labels_or_masks_are_named(key, meant, kind):
    """They were not read, so that anomalous images were trained on."""
    images = np.stack(pictures(2, mixed=False))
    other = np.ones(2 if meant == "label" else (2, 8, 10), "uint8")
    columns = {"image": images, key: other, "defect_type": other, "path_index": other}
    data = {
        "elements": [{name: value[0] for name, value in columns.items()}],
        "columns": columns,
        "batches": Batches([columns]),
    }[kind]
    said = f"came with {key!r}, which is not read: a {meant} is read from .* {meant!r}"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        list(ImageSource(data, 2).batches())
    (warning,) = caught
    assert re.search(said, str(warning.message))
    columns[meant] = other
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        list(ImageSource(columns, 2).batches())
