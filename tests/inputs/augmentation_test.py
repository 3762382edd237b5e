"""Images turned by quarters and mirrored, by what is drawn for them."""

import numpy as np
import pytest

from keras_rlr.inputs.augmentation import (
    resolve_augmentation,
    variant_key,
    variants_of,
    vary,
)
from keras_rlr.inputs.image_source import ImageSource
from keras_rlr.inputs.training_batches import TrainingBatches
from tests.tiny_model import random_images

pytestmark = pytest.mark.backend_independent

IMAGES = random_images(7, 8, 8)
TURNED = [lambda x, k=k: np.rot90(x, k) for k in range(4)]
WAYS = {
    (): [lambda x: x],
    ("flip",): [lambda x: x, np.fliplr, np.flipud],
    ("rotate",): TURNED,
    ("flip", "rotate"): [
        *TURNED,
        *(lambda x, k=k: np.fliplr(np.rot90(x, k)) for k in range(4)),
    ],
}


@pytest.mark.parametrize("augmentation", WAYS)
def test_variants_are_those_of_numpy(augmentation):
    found = [vary(IMAGES, variant) for variant in variants_of(augmentation)]
    np.testing.assert_array_equal(found[0], IMAGES)
    wanted = [np.stack([way(image) for image in IMAGES]) for way in WAYS[augmentation]]
    assert {x.tobytes() for x in found} == {x.tobytes() for x in wanted}
    keys = {variant_key("image", variant) for variant in variants_of(augmentation)}
    assert len(keys) == len(found) == len(wanted)


@pytest.mark.parametrize("given", ["rotate", ["rotate", "flip"], ("flip",), (), ""])
def test_names_are_taken_in_one_order_or_refused(given):
    if given == "":
        with pytest.raises(ValueError, match="`augmentation` takes any of 'flip'"):
            resolve_augmentation(given, 32)
        return
    names = [given] if isinstance(given, str) else sorted(given)
    assert resolve_augmentation(given, 32) == tuple(names)


def steps(augmentation, first_step=0, seed=0, **options):
    batches = TrainingBatches(
        ImageSource(IMAGES, 3),
        8,
        seed=seed,
        first_step=first_step,
        augmentation=augmentation,
        **options,
    )
    return [batch for (batch,) in batches.generate()]


def drawn(augmentation, **options):
    """Which way each image with a weight was turned, step by step."""
    ways = WAYS[augmentation]
    found = []
    plain = steps((), **options)
    for batch, before in zip(steps(augmentation, **options), plain, strict=True):
        for key in ("noise_key", "weight"):
            np.testing.assert_array_equal(batch[key], before[key])
        for i in np.flatnonzero(batch["weight"]):
            same = [
                np.array_equal(w(before["image"][i]), batch["image"][i]) for w in ways
            ]
            assert sum(same) == 1
            found.append(same.index(True))
    return found


@pytest.mark.parametrize("augmentation", list(WAYS)[1:])
def test_each_image_of_each_step_is_one_of_them_in_equal_shares(augmentation):
    found = [way for s in range(60) for way in drawn(augmentation, first_step=3 * s)]
    shares = np.bincount(found, minlength=len(WAYS[augmentation])) / len(found)
    assert np.abs(shares - 1 / len(shares)).max() < 0.06


def test_it_depends_on_seed_and_step_alone():
    augmentation = ("flip", "rotate")
    found = drawn(augmentation)
    assert found == drawn(augmentation)
    assert found == drawn(augmentation, devices=4)
    assert found != drawn(augmentation, seed=1)
    # As in a training that goes on after the first step.
    assert found[3:6] == drawn(augmentation, first_step=1)[:3]


def test_all_images_may_be_one_variant():
    batches = TrainingBatches(
        ImageSource(IMAGES, 3), 8, seed=0, shuffle=False, augmentation=("rotate",)
    )
    for turns in range(4):
        images = [batch["image"] for (batch,) in batches.generate((turns, False))]
        wanted = np.rot90(IMAGES, turns, axes=(1, 2))
        np.testing.assert_array_equal(np.concatenate(images), wanted)


def test_rectangles_are_not_turned_by_quarters():
    assert resolve_augmentation("flip", (8, 16)) == ("flip",)
    with pytest.raises(ValueError, match=r"8x16 pixels would not fit.*image_size=16"):
        resolve_augmentation("rotate", (8, 16))
