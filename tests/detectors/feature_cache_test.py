"""Training from a feature cache: the same losses, and the backbone runs once."""

import itertools
import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_rlr
from keras_rlr.datasets import FolderDataset, write_procedural_dataset
from keras_rlr.detectors import feature_cache
from keras_rlr.detectors.feature_extractor import FeatureExtractor
from keras_rlr.inputs import feature_store
from keras_rlr.inputs.image_keys import image_key
from keras_rlr.inputs.image_source import ImageSource
from tests.data_kinds import IMAGES, KINDS
from tests.tiny_model import (
    IMAGE_SIZE,
    ONE_LEVEL,
    fit_losses,
    restore,
    snapshot,
    tiny_backbone,
    tiny_model,
)


@pytest.fixture(scope="module")
def new_model():
    model = tiny_model(standardize_features=True)
    state = snapshot(model)

    def renew():
        restore(state)
        return model

    return renew


@pytest.fixture
def no_backbone(monkeypatch):
    """From `no_backbone()` on, whoever runs a backbone fails."""

    def refuse(*_, **__):
        raise AssertionError("the backbone ran")

    return lambda: monkeypatch.setattr(FeatureExtractor, "__call__", refuse)


def losses(model, data, cache=None, **options):
    # All batches of six images have one size, so that one step is compiled.
    options = {"epochs": 2, "batch_size": 3, **options}
    return fit_losses(model, data, feature_cache=cache, **options)


def shards(folder):
    return sorted(folder.glob("*/*.npy"))


@pytest.mark.backend_independent
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_data_has_the_losses_it_has_without(kind, new_model, tmp_path):
    expected = losses(new_model(), KINDS[kind](), batch_size=4)
    cache = keras_rlr.FeatureCache(tmp_path, dtype="float32")
    found = losses(new_model(), KINDS[kind](), cache, batch_size=4)
    np.testing.assert_allclose(found, expected, rtol=2e-6)


@pytest.mark.backend_independent
@pytest.mark.parametrize(("dtype", "error"), [("float16", 1e-3), ("bfloat16", 1e-2)])
def test_smaller_numbers_cost_little(dtype, error, new_model):
    expected = losses(new_model(), IMAGES, batch_size=4)
    cache = keras_rlr.FeatureCache("memory", dtype=dtype)
    found = losses(new_model(), IMAGES, cache, batch_size=4)
    assert found != expected
    np.testing.assert_allclose(found, expected, rtol=error)


@pytest.mark.backend_independent
def test_the_backbone_runs_once_an_image(tmp_path, no_backbone):
    # New models, because a compiled step would not call the backbone anyhow.
    options = {"standardize_features": True, **ONE_LEVEL}
    first = losses(tiny_model(**options), IMAGES, tmp_path)
    model = tiny_model(**options)
    no_backbone()
    assert losses(model, IMAGES, tmp_path) == first


@pytest.mark.backend_independent
def test_only_new_images_are_computed(new_model, tmp_path, no_backbone):
    losses(new_model(), IMAGES[:5], tmp_path)
    (first,) = shards(tmp_path)
    losses(new_model(), IMAGES, tmp_path)
    assert len(shards(tmp_path)) == 2
    (new,) = set(shards(tmp_path)) - {first}
    assert len(np.load(new)) == 1
    model = tiny_model(standardize_features=True)
    no_backbone()
    losses(model, IMAGES[2:], tmp_path)


@pytest.mark.backend_independent
def test_another_backbone_or_size_has_its_own(new_model, tmp_path):
    losses(new_model(), IMAGES, tmp_path)
    model = tiny_model(standardize_features=True, backbone=tiny_backbone(seed=1))
    expected = losses(
        tiny_model(standardize_features=True, backbone=tiny_backbone(seed=1)), IMAGES
    )
    np.testing.assert_allclose(losses(model, IMAGES, tmp_path), expected, rtol=1e-3)
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.backend_independent
def test_what_is_named_like_a_layer_is_no_name_of_a_layer():
    def fingerprint(name, activation):
        image = keras.Input((None, None, 3))
        options = {"kernel_initializer": keras_rlr.layers.SeededNormal(0.1, 0)}
        x = keras.layers.Conv2D(8, 5, strides=4, padding="same", **options)(image)
        fine = keras.layers.Activation(activation, name=name)(x)
        coarse = keras.layers.AveragePooling2D(2)(fine)
        model = tiny_model(backbone=keras.Model(image, [fine, coarse]))
        return feature_cache._fingerprint(model)

    assert fingerprint("relu", "relu") != fingerprint("gelu", "gelu")
    # Built a second time, the other layers have other numbers in their names.
    assert fingerprint("relu", "relu") == fingerprint("relu", "relu")
    assert fingerprint("one", "relu") == fingerprint("other", "relu")


@pytest.mark.backend_independent
def test_a_changed_image_is_never_taken_from_it(new_model, tmp_path):
    losses(new_model(), IMAGES, tmp_path)
    changed = IMAGES.copy()
    changed[3, 10, 10, 0] ^= 128
    expected = losses(new_model(), changed)
    found = losses(new_model(), changed, keras_rlr.FeatureCache(tmp_path))
    np.testing.assert_allclose(found, expected, rtol=1e-3)
    assert sum(len(np.load(shard)) for shard in shards(tmp_path)) == 7


@pytest.mark.backend_independent
def test_what_was_damaged_is_computed_again(new_model, tmp_path):
    expected = losses(new_model(), IMAGES, tmp_path)
    (shard,) = shards(tmp_path)
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1
    shard.write_bytes(content)
    with pytest.warns(UserWarning, match=f"{shard.name}' is damaged"):
        assert losses(new_model(), IMAGES, tmp_path) == expected
    shard.write_bytes(content[:-100])
    with pytest.warns(UserWarning, match=f"{shard.name}' is damaged"):
        assert losses(new_model(), IMAGES, tmp_path) == expected
    shard.unlink()
    with pytest.warns(UserWarning, match=f"{shard.name}' is damaged"):
        assert losses(new_model(), IMAGES, tmp_path) == expected
    assert losses(new_model(), IMAGES, tmp_path) == expected


class Interrupted(list):
    def __getitem__(self, index):
        if index == 18 and self.reads > 18:
            raise KeyboardInterrupt
        self.reads += 1
        return super().__getitem__(index)


@pytest.mark.backend_independent
def test_an_interrupted_build_goes_on(new_model, tmp_path, monkeypatch):
    monkeypatch.setattr(feature_store, "_SHARD_BYTES", 1)
    images = many_images(20)
    data = Interrupted(images)
    data.reads = 0
    with pytest.raises(KeyboardInterrupt):
        losses(new_model(), data, tmp_path, batch_size=2)
    written = shards(tmp_path)
    assert sum(len(np.load(shard)) for shard in written) == 16
    times = [shard.stat().st_mtime_ns for shard in written]
    found = losses(new_model(), images, tmp_path)
    assert [shard.stat().st_mtime_ns for shard in written] == times
    assert len(shards(tmp_path)) == len(written) + 1
    np.testing.assert_allclose(found, losses(new_model(), images), rtol=1e-3)


@pytest.mark.parametrize(
    "known",
    [
        pytest.param([], marks=pytest.mark.backend_independent),
        pytest.param([3], marks=pytest.mark.backend_independent),
        [0, 15, 16, 17, 38],
    ],
)
def test_features_do_not_depend_on_what_was_there_before(known):
    """A process that is killed and goes on computes others together."""
    images = many_images(39)
    rows = []
    # Of one pass, so that no step is compiled.
    settings = {"levels": (1, 2), "image_size": IMAGE_SIZE, "seed": 0}
    model = keras_rlr.PatchCore(tiny_backbone(), **settings)
    for first in ([], known):
        cache = keras_rlr.FeatureCache("memory", dtype="float32")
        for data in ([images[i] for i in first], images):
            if data:
                model.fit(data, feature_cache=cache, batch_size=3, verbose=0)
        (store,) = cache._stores.values()
        rows.append(store.read([image_key(image) for image in images]))
    np.testing.assert_array_equal(*rows)


@pytest.mark.backend_independent
def test_an_image_that_is_there_twice_or_known_is_not_computed(new_model, monkeypatch):
    computed = []
    make = feature_cache.extract_by_image

    def counted(model):
        extract = make(model)

        def extract_and_count(images):
            computed.append(len(images))
            return extract(images)

        return extract_and_count

    monkeypatch.setattr(feature_cache, "extract_by_image", counted)
    images = many_images(12)
    cache = keras_rlr.FeatureCache("memory", dtype="float32")
    losses(new_model(), images[:6], cache, batch_size=3)
    # In each batch one that is new, one that was there and one that comes again.
    data = [images[i] for i in (6, 0, 7, 8, 7, 1, 9, 2, 6)]
    found = losses(new_model(), data, cache, batch_size=3)
    assert computed == [6, 4]
    expected = losses(new_model(), data, batch_size=3)
    np.testing.assert_allclose(found, expected, rtol=2e-6)


@pytest.mark.backend_independent
@pytest.mark.parametrize("known", [0, 3])
def test_a_bad_image_is_named_by_its_place_in_the_data(known, new_model):
    cache = keras_rlr.FeatureCache("memory")
    if known:
        losses(new_model(), IMAGES[:known], cache)
    data = [*IMAGES, np.zeros((40, 48, 5), "uint8")]
    with pytest.raises(ValueError, match="image 6 of shape"):
        losses(new_model(), data, cache)


def many_images(count):
    shape = (count, *IMAGES[0].shape)
    return list(np.random.default_rng(1).integers(0, 256, shape, "uint8"))


@pytest.mark.backend_independent
def test_data_that_shuffles_itself_is_shuffled_by_the_seed(new_model):
    cache = keras_rlr.FeatureCache("memory")
    orders = {}
    for kind in ("plain", "shuffled"):
        data = tf.data.Dataset.from_tensor_slices(IMAGES)
        if kind == "shuffled":
            # The same in every run, but another order in each pass.
            data = data.shuffle(6, seed=3, reshuffle_each_iteration=True)
        source = ImageSource(data.batch(2), 2)
        cached = cache.batches(new_model(), source, seed=0).source
        assert cached.num_batches() == 3
        epochs = [list(cached.batches((0, epoch))) for epoch in range(3)]
        assert all(
            sorted(itertools.chain(*epoch)) == sorted(map(image_key, IMAGES))
            for epoch in epochs
        )
        orders[kind] = epochs
    assert orders["plain"][0] == orders["plain"][1] == orders["plain"][2]
    assert orders["shuffled"][0] != orders["shuffled"][1] != orders["shuffled"][2]


@pytest.mark.backend_independent
def test_folders_are_known_by_their_files(tmp_path, new_model, monkeypatch):
    folder = write_procedural_dataset(
        tmp_path / "data",
        image_size=96,
        train_per_category=3,
        test_normal=1,
        test_anomalous=1,
        categories=["gear"],
    )
    data = FolderDataset(folder)
    plain = losses(new_model(), data)
    cache = keras_rlr.FeatureCache(tmp_path / "cache", dtype="float32")
    np.testing.assert_allclose(losses(new_model(), data, cache), plain, rtol=2e-6)
    (description,) = (tmp_path / "cache").glob("*/*.json")
    assert json.loads(description.read_text())["notes"] == 3 * [
        {"category": "gear", "label": 0}
    ]
    read = []
    original = FolderDataset.__getitem__
    monkeypatch.setattr(
        FolderDataset,
        "__getitem__",
        lambda self, index: read.append(index) or original(self, index),
    )
    losses(new_model(), data, cache)
    assert not read
    image = data.samples[1].image
    data.samples[2].image.rename(image)
    data = FolderDataset(folder)
    found = losses(new_model(), data, cache)
    assert read == [1]
    np.testing.assert_allclose(found, losses(new_model(), data), rtol=2e-6)
    with pytest.raises(ValueError, match="is anomalous"):
        losses(new_model(), FolderDataset(folder, "test"), cache)


@pytest.mark.backend_independent
def test_data_that_is_used_up_is_refused(new_model):
    once = iter([IMAGES[:3], IMAGES[3:]])
    data = tf.data.Dataset.from_generator(
        lambda: once, output_signature=tf.TensorSpec((None, 40, 48, 3), tf.uint8)
    )
    with pytest.raises(ValueError, match="or used up after one pass"):
        losses(new_model(), data, "memory")


class Augmented(list):
    def __getitem__(self, index):
        return super().__getitem__(index) ^ np.random.randint(1, 255, dtype="uint8")


@pytest.mark.backend_independent
@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        (Augmented(IMAGES), {}, "Two passes over the data gave different images"),
        (
            tf.data.Dataset.from_tensor_slices(IMAGES)
            .map(lambda x: tf.image.random_brightness(x, 0.5))
            .batch(2),
            {},
            "Two passes over the data gave different images",
        ),
        (
            tf.data.Dataset.from_tensor_slices(IMAGES).batch(2).repeat(),
            {"steps_per_epoch": 3},
            "Leave `repeat",
        ),
        (IMAGES, {"steps_per_epoch": 1}, "Leave `repeat"),
        (IMAGES[:0], {}, "The data set has no images"),
        ({"image": IMAGES, "label": [0, 0, 0, 1, 0, 0]}, {}, "Element 3 .* anomalous"),
    ],
)  # fmt: skip
def test_refuses_before_any_work(data, options, message, new_model, tmp_path):
    with pytest.raises(ValueError, match=message):
        losses(new_model(), data, tmp_path, **options)
    assert not shards(tmp_path)


@pytest.mark.backend_independent
def test_refuses_other_arguments(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match="needs a folder. Received a file"):
        keras_rlr.FeatureCache(tmp_path / "file")
    with pytest.raises(
        ValueError, match="float16, bfloat16, float32. Received: 'int8'"
    ):
        keras_rlr.FeatureCache("memory", dtype="int8")
