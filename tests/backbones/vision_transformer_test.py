import dataclasses
import json

import keras
import keras_hub
import numpy as np
import pytest
from keras import ops

from keras_rlr.backbones import (
    create_backbone,
    deserialize_backbone,
    serialize_backbone,
)
from keras_rlr.backbones.backbone import IMAGENET_MEAN, IMAGENET_STD
from keras_rlr.backbones.vision_transformer.from_keras_hub import settings_of
from keras_rlr.backbones.vision_transformer.settings import CATALOGUE, default_taps
from tests.backbones.frozen import assert_frozen, feature_maps
from tests.backbones.tiny_transformer import TINY, randomize, tiny_transformer
from tests.golden_weights import assert_close


def dinov2(side=56, **options):
    """A keras-hub DINOv2 of three blocks with random weights."""
    model = keras_hub.models.DINOV2Backbone(
        patch_size=14,
        num_layers=3,
        hidden_dim=16,
        num_heads=2,
        intermediate_dim=32,
        image_shape=(side, side, 3),
        position_embedding_shape=(56, 56),
        **options,
    )
    randomize(model)
    return model


def dinov3(**options):
    """A keras-hub DINOv3 of three blocks with random weights."""
    model = keras_hub.models.DINOV3Backbone(
        patch_size=16,
        num_layers=3,
        hidden_dim=16,
        num_heads=2,
        intermediate_dim=32,
        num_register_tokens=4,
        image_shape=(64, 64, 3),
        **options,
    )
    randomize(model)
    return model


def pixels(side, count=2):
    return (
        np.random.default_rng(1).normal(size=(count, side, side, 3)).astype("float32")
    )


def maps_of(hub, images, levels):
    """What keras-hub's own network gives: of a group the mean, patches alone."""
    network = keras.Model(hub.input, hub.pyramid_outputs)
    stages = network(dict.fromkeys(hub.input, images), training=False)
    side = images.shape[1] // hub.patch_size
    maps = []
    for level in levels:
        group = level if isinstance(level, tuple) else (level,)
        tokens = [ops.convert_to_numpy(stages[f"stage{block}"]) for block in group]
        patches = np.mean(tokens, axis=0)[:, -side * side :]
        maps.append(patches.reshape(len(images), side, side, -1))
    return maps


@pytest.mark.parametrize(
    "make, side",
    [
        (dinov2, 56),
        (lambda: dinov2(num_register_tokens=2, use_swiglu_ffn=True), 56),
        (lambda: dinov3(use_key_bias=False), 64),
        (lambda: dinov3(use_gated_mlp=True, hidden_activation="silu"), 64),
    ],
    ids=["dinov2", "registers and gates", "dinov3", "gated dinov3"],
)
def test_its_maps_are_those_of_keras_hubs_network(make, side):
    hub, images, levels = make(), pixels(side), (2, (2, 3))
    backbone = create_backbone(hub, levels=levels, image_size=side)
    for own, theirs in zip(
        feature_maps(backbone, images), maps_of(hub, images, levels), strict=True
    ):
        assert_close(own, theirs, 1e-5)
    assert_frozen(backbone, images)


@pytest.mark.parametrize("antialias", [False, True])
def test_at_another_size_positions_are_as_pytorch_resizes_them(antialias):
    torch = pytest.importorskip("torch")
    hub = dinov2(antialias_in_interpolation=antialias)
    other = dinov2(side=42, antialias_in_interpolation=antialias)
    learned = ops.convert_to_numpy(hub.embeddings.position_embeddings)
    square = torch.tensor(learned[:, 1:].reshape(1, 4, 4, 16)).permute(0, 3, 1, 2)
    resized = torch.nn.functional.interpolate(
        square, (3, 3), mode="bicubic", align_corners=False, antialias=antialias
    )
    resized = resized.permute(0, 2, 3, 1).reshape(1, 9, 16).numpy()
    kept = [w for w in other.weights if "interpolated" not in w.path]
    source = [w for w in hub.weights if "interpolated" not in w.path]
    for weight, value in zip(kept, source, strict=True):
        weight.assign(value)
    other.embeddings.interpolated_position_embeddings.assign(
        np.concatenate([learned[:, :1], resized], axis=1)
    )
    backbone = create_backbone(hub, levels=(3,), image_size=42)
    images = pixels(42)
    (expected,) = maps_of(other, images, (3,))
    assert_close(feature_maps(backbone, images)[0], expected, 1e-5)


@pytest.mark.backend_independent
def test_blocks_after_the_last_one_needed_are_not_there():
    model = tiny_transformer(levels=((1, 2),)).model
    names = [layer.name for layer in model.layers]
    assert names == ["image", "patch_tokens", "block_1", "block_2", "level_1_2"]
    assert model.output_shape == (None, 4, 4, 16)
    whole = tiny_transformer(levels=(3,)).model
    assert model.count_params() < whole.count_params()


@pytest.mark.backend_independent
@pytest.mark.parametrize(
    "name, options, message",
    [
        ("dinov2_small", {"image_size": 256}, "image_size=252 or 266"),
        ("dinov3_vit_small_lvd1689m", {"image_size": 250}, "image_size=240 or 256"),
        ("dinov2_small", {"levels": (3, 13)}, "no block 13.*blocks 1 to 12"),
        ("dinov2_small", {"levels": ((3, 4), ())}, "numbers of blocks, or tuples"),
        ("dinov2_small", {"levels": ((4, 3),)}, "strictly increasing"),
        ("dinov2_small", {"levels": ((3, 4), (3, 4))}, "strictly increasing"),
        ("efficientnet_lite2", {"levels": ((2, 3),), "image_size": 64}, "integers"),
    ],
)
def test_sizes_and_blocks_that_do_not_fit_are_refused(name, options, message):
    options = {"levels": (3,), "image_size": 28, "weights": None, **options}
    with pytest.raises(ValueError, match=message):
        create_backbone(name, **options)


@pytest.mark.backend_independent
def test_without_levels_the_blocks_in_the_middle_are_taken():
    assert default_taps(12) == ((3, 4, 5, 6), (7, 8, 9, 10))
    assert default_taps(24) == ((5, 7, 9, 11), (13, 15, 17, 19))
    assert default_taps(3) == ((1, 2), 3)
    assert default_taps(1) == (1,)
    backbone = create_backbone(dinov2(), image_size=56)
    assert backbone.levels == ((1, 2), 3)
    pyramid = create_backbone("efficientnet_lite2", image_size=64, weights=None)
    assert pyramid.levels == (1, 2, 3)


def parameters(settings, of_keras_hub):
    """How many values a network of an architecture has."""
    width, hidden = settings.width, settings.mlp_dim
    block = 4 * width * width + 4 * width + 6 * width
    block += (2 + settings.gated) * width * hidden + width
    block += (1 + settings.gated) * hidden
    positions = 0
    if settings.rope_theta is None:
        positions = (1 + settings.position_grid**2) * width
        positions *= of_keras_hub  # They are there twice.
    patches = (3 * settings.patch_size**2 + 1) * width
    prefix = (2 + settings.num_registers) * width
    return settings.depth * block + positions + patches + prefix + 2 * width


@pytest.mark.backend_independent
@pytest.mark.parametrize("name", CATALOGUE)
def test_the_architectures_known_by_name_are_keras_hubs(name):
    preset = keras_hub.models.Backbone.presets[name]
    count = preset["metadata"]["params"]
    tolerance = 0 if name.startswith("dinov2") else 0.03 * count
    assert abs(parameters(CATALOGUE[name], of_keras_hub=2) - count) <= tolerance


@pytest.fixture(scope="module")
def hub():
    return dinov2()


def test_a_folder_of_a_preset_and_a_file_of_weights(hub, tmp_path, monkeypatch):
    hub.save_to_preset(str(tmp_path / "preset"))
    hub.save_weights(tmp_path / "own.weights.h5")
    monkeypatch.setitem(CATALOGUE, "dinov2_tiny", settings_of(hub))
    options = {"levels": ((1, 2), 3), "image_size": 42}
    expected = create_backbone(hub, **options)
    images = pixels(42)
    for name, weights in (
        (str(tmp_path / "preset"), "imagenet"),
        ("dinov2_tiny", tmp_path / "own.weights.h5"),
    ):
        backbone = create_backbone(name, weights=weights, **options)
        assert (backbone.mean, backbone.std) == (IMAGENET_MEAN, IMAGENET_STD)
        for own, theirs in zip(
            feature_maps(backbone, images), feature_maps(expected, images), strict=True
        ):
            assert_close(own, ops.convert_to_numpy(theirs), 1e-6)


@pytest.mark.backend_independent
def test_a_file_of_another_network_is_refused(hub, tmp_path, monkeypatch):
    hub.save_weights(tmp_path / "own.weights.h5")
    other = dataclasses.replace(settings_of(hub), width=8)
    monkeypatch.setitem(CATALOGUE, "dinov2_tiny", other)
    with pytest.raises(ValueError, match="does not hold the weights of the backbone"):
        create_backbone(
            "dinov2_tiny",
            levels=(1,),
            image_size=42,
            weights=tmp_path / "own.weights.h5",
        )


@pytest.mark.backend_independent
def test_where_a_download_is_refused_the_licence_is_named(monkeypatch):
    def refuse(*_, **__):
        raise OSError("403 Forbidden")

    monkeypatch.setattr(keras_hub.models.Backbone, "from_preset", refuse)
    with pytest.raises(ValueError, match="403 Forbidden.*accepted Meta's licence"):
        create_backbone("dinov3_vit_small_lvd1689m", levels=(3,), image_size=64)
    with pytest.raises(ValueError, match="403 Forbidden") as error:
        create_backbone("dinov2_small", levels=(3,), image_size=56)
    assert "licence" not in str(error.value)


def test_its_description_is_enough_to_build_it():
    backbone = tiny_transformer()
    config = json.loads(json.dumps(serialize_backbone(backbone)))
    assert config["settings"]["width"] == TINY.width
    copy = deserialize_backbone(config, levels=backbone.levels, image_size=56)
    assert dataclasses.replace(copy, model=None) == dataclasses.replace(
        backbone, model=None
    )
    copy.model.set_weights(backbone.model.get_weights())
    images = pixels(56)
    for own, theirs in zip(
        feature_maps(copy, images), feature_maps(backbone, images), strict=True
    ):
        np.testing.assert_array_equal(
            ops.convert_to_numpy(own), ops.convert_to_numpy(theirs)
        )
    assert not copy.model.trainable_weights
