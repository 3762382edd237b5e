"""Order, noise keys and weights of training batches."""

import keras
import numpy as np
import pytest

from keras_rlr.inputs.image_source import ImageSource
from keras_rlr.inputs.tiled_source import in_tiles
from keras_rlr.inputs.training_batches import TrainingBatches, noise_keys
from keras_rlr.tiling import Tiling

pytestmark = pytest.mark.backend_independent

IMAGES = np.arange(7, dtype="uint8")[:, None, None, None] * np.ones(
    (7, 8, 8, 3), "uint8"
)


def one_epoch(epoch=0, seed=0, batch_size=3, **options):
    options.setdefault("shuffle", True)
    batches = TrainingBatches(ImageSource(IMAGES, batch_size), 8, seed=seed, **options)
    batches.begin_epoch(epoch)
    return [batch for (batch,) in batches.generate()]


def order(batches):
    """Which image each row with a weight is."""
    return [
        int(image[0, 0, 0])
        for batch in batches
        for image, weight in zip(batch["image"], batch["weight"], strict=True)
        if weight > 0
    ]


def test_every_image_comes_once_in_an_order_of_seed_and_epoch():
    first = order(one_epoch())
    assert sorted(first) == list(range(7))
    assert first == order(one_epoch())
    assert len({tuple(order(one_epoch(e, s))) for e in range(3) for s in range(3)}) == 9
    assert order(one_epoch(shuffle=False)) == list(range(7))


@pytest.mark.parametrize("devices", [1, 2, 4, 8])
def test_padding_leaves_the_mean_over_real_images(devices):
    """And leaves their noise and order as they are for one device."""
    expected = one_epoch()
    for batch, alone in zip(one_epoch(devices=devices), expected, strict=True):
        count = len(alone["image"])
        assert len(batch["image"]) % devices == 0
        assert len(batch["image"]) == len(batch["weight"]) == len(batch["noise_key"])
        assert np.all(batch["weight"][:count] == len(batch["weight"]) / count)
        assert not batch["weight"][count:].any()
        np.testing.assert_array_equal(batch["image"][:count], alone["image"])
        np.testing.assert_array_equal(batch["noise_key"][:count], alone["noise_key"])


def test_processes_get_the_parts_of_one_global_batch():
    whole = one_epoch(devices=2)
    parts = [one_epoch(shard=(index, 2)) for index in range(2)]
    for batch, *halves in zip(whole, *parts, strict=True):
        for key in ("image", "noise_key", "weight"):
            joined = np.concatenate([half[key] for half in halves])
            np.testing.assert_array_equal(joined, batch[key])


def test_noise_keys_differ_by_seed_step_and_position():
    keys = np.concatenate(
        [
            noise_keys(seed, step, np.arange(50))
            for seed in range(5)
            for step in range(20)
        ]
    )
    assert keys.dtype == np.int32 and keys.shape == (5000, 2)
    assert len(np.unique(keys, axis=0)) == 5000
    np.testing.assert_array_equal(
        noise_keys(3, 7, np.array([9])), noise_keys(3, 7, np.arange(10))[9:]
    )


def test_steps_go_on_from_epoch_to_epoch_and_from_a_resumed_one():
    batches = TrainingBatches(ImageSource(IMAGES, 3), 8, seed=1)
    passes = []
    for epoch in range(3):
        batches.begin_epoch(epoch)
        passes.append([batch for (batch,) in batches.generate()])
    resumed = one_epoch(2, seed=1, first_epoch=2, first_step=6)
    for batch, again in zip(passes[2], resumed, strict=True):
        for key, value in batch.items():
            np.testing.assert_array_equal(value, again[key])


class InBatches(keras.utils.PyDataset):
    """Data that brings its batches, and notes which were read."""

    def __init__(self):
        super().__init__()
        self.read = []

    def __len__(self):
        return 3

    def __getitem__(self, index):
        self.read.append(index)
        return IMAGES[3 * index : 3 * index + 3]


@pytest.mark.parametrize("kind", ["indexed", "batches", "stream", "tiles"])
def test_an_epoch_that_is_gone_on_in_has_the_batches_that_are_left(kind):
    def batches(**options):
        data = {"batches": InBatches, "stream": loader}.get(kind, lambda: IMAGES)()
        source = ImageSource(data, 3)
        if kind == "tiles":
            source = in_tiles(source, Tiling.of((1, 2), 0.25, 8))
        return TrainingBatches(source, 8, seed=1, first_epoch=1, **options)

    whole = batches(first_step=3)
    whole.begin_epoch(1)
    expected = [batch for (batch,) in whole.generate()]
    rest = batches(first_step=5, first_batch=2)
    rest.begin_epoch(1)
    found = [batch for (batch,) in rest.generate()]
    assert len(found) == len(expected) - 2 > 0
    for batch, again in zip(expected[2:], found, strict=True):
        for key, value in batch.items():
            np.testing.assert_array_equal(value, again[key])
    if kind == "batches":
        assert len(rest.source.data.read) == 1
    # Statistics of the epoch, and the next one, are of all its images.
    rest.begin_epoch(1, step=0)
    assert len(list(rest.generate(whole=True))) == len(expected)
    whole.begin_epoch(2, step=9)
    rest.begin_epoch(2, step=9)
    for (batch,), (again,) in zip(whole.generate(), rest.generate(), strict=True):
        np.testing.assert_array_equal(batch["noise_key"], again["noise_key"])
        np.testing.assert_array_equal(batch["image"], again["image"])


def loader():
    torch = pytest.importorskip("torch")
    return torch.utils.data.DataLoader(list(IMAGES), batch_size=3)


def test_a_pass_begun_ahead_of_time_changes_nothing():
    """As Keras does when it looks at a batch, or a backend when it prefetches."""
    batches = TrainingBatches(ImageSource(IMAGES, 3), 8, seed=1, first_epoch=1)
    next(batches.generate())
    batches.begin_epoch(1)
    looked = [batch for (batch,) in batches.generate()]
    expected = one_epoch(1, seed=1, first_epoch=1)
    for batch, again in zip(looked, expected, strict=True):
        np.testing.assert_array_equal(batch["noise_key"], again["noise_key"])


def test_tensorflow_starts_no_tuner_to_wait_for_between_epochs():
    batches = TrainingBatches(ImageSource(IMAGES, 3), 8, seed=0)
    assert batches.get_tf_dataset().options().autotune.enabled is False
