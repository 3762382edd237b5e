"""What is refused as neither a batch nor an image with its label."""

import numpy as np
import pytest
import tensorflow as tf

from keras_rlr.inputs.image_source import ImageSource
from tests.inputs.pictures import Batches, delivered, loader, pictures, refused

pytestmark = pytest.mark.backend_independent


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
