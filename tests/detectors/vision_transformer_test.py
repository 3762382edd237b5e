"""Detectors on blocks of a vision transformer."""

import json

import keras
import numpy as np
import pytest

import keras_rlr
from keras_rlr.detectors.describe_model import describe_model
from tests.backbones.tiny_transformer import tiny_transformer
from tests.detectors.contract import check_export
from tests.fresh_process import run_fresh
from tests.tiny_model import fit_losses, random_images

SIZE = 56
LEVELS = ((1, 2), 3)
LOAD = """
import json, sys
import keras, keras_rlr
import numpy as np

model = keras.saving.load_model(sys.argv[1])
np.savez(sys.argv[2], *model.extract_features(np.load(sys.argv[3])))
print(json.dumps({"levels": model.levels, "hub": "keras_hub" in sys.modules}))
"""


def tiny_rlr(**options):
    """RLR on two levels of 4x4 tokens: a group of blocks and one block."""
    settings = {
        "windows": (3,),
        "hidden_dims": (16,),
        "num_blocks": 1,
        "fuse_levels": True,
        "seed": 0,
    }
    return keras_rlr.RLR(
        tiny_transformer(LEVELS, SIZE), image_size=SIZE, **{**settings, **options}
    )


@pytest.fixture(scope="module")
def model():
    model = tiny_rlr(standardize_features=True, cosine_damping=0.3)
    fit_losses(model, random_images(4, SIZE, SIZE), epochs=1, batch_size=4)
    model.calibrate(random_images(9, SIZE, SIZE, seed=1), 0.2)
    return model


@pytest.mark.backend_independent
def test_every_backend_loads_it_without_keras_hub_and_has_its_features(model, tmp_path):
    images = random_images(2, 70, 60)
    model.save(tmp_path / "model.keras")
    np.save(tmp_path / "images.npy", images)
    expected = model.extract_features(images)
    assert [features.shape for features in expected] == [(2, 4, 4, 16)] * 2
    for backend in ("tensorflow", "jax", "torch"):
        paths = [tmp_path / name for name in ("model.keras", "out.npz", "images.npy")]
        result = run_fresh(LOAD, *paths, backend=backend)
        assert result.returncode == 0, result.stderr
        report = json.loads(result.stdout.splitlines()[-1])
        assert report == {"levels": [[1, 2], 3], "hub": False}
        with np.load(tmp_path / "out.npz") as found:
            for name, own in zip(found.files, expected, strict=True):
                np.testing.assert_allclose(found[name], own, rtol=1e-4, atol=1e-4)


@pytest.mark.backend_independent
def test_a_copy_from_its_configuration_and_its_compact_form_say_the_same(model):
    images = random_images(2, SIZE, SIZE, seed=2)
    scores = model.predict(images, verbose=0)["anomaly_score"]
    copy = type(model).from_config(json.loads(json.dumps(model.get_config())))
    assert copy.levels == LEVELS
    copy.set_weights(model.get_weights())
    compact = model.compact()
    for other in (copy, compact):
        found = other.predict(images, verbose=0)["anomaly_score"]
        np.testing.assert_allclose(found, scores, rtol=1e-4)


@pytest.mark.backend_independent
def test_features_from_a_cache_are_trained_on_alike():
    images = random_images(4, SIZE, SIZE)
    cache = keras_rlr.FeatureCache("memory", dtype="float32")
    cached = fit_losses(tiny_rlr(), images, feature_cache=cache, epochs=2)
    np.testing.assert_allclose(
        cached, fit_losses(tiny_rlr(), images, epochs=2), rtol=1e-4
    )


@pytest.mark.backend_independent
def test_what_is_left_out_is_chosen_for_blocks():
    model = tiny_rlr(
        hidden_dims=None, fuse_levels=False, windows=None, attentions="lca"
    )
    assert (model.hidden_dims, model.windows) == ((384, 384), (7, 7))
    assert describe_model(model)["levels"] == [[1, 2], 3]
    assert model.grids == ("1_2", "3")


@pytest.mark.backend_independent
@pytest.mark.parametrize("name", ["PatchCore", "PaDiM", "SimpleNet", "UniAD", "MKD"])
def test_other_methods_take_it(name):
    options = {
        "PaDiM": {"num_channels": 4},
        "SimpleNet": {"hidden_dim": 8},
        "UniAD": {"hidden_dim": 8, "window": 3, "num_heads": 2, "ffn_dim": 8},
        "MKD": {"student_width": 4},
    }.get(name, {"distance": "cosine"})
    method = getattr(keras_rlr, name)
    model = method(tiny_transformer(LEVELS, SIZE), image_size=SIZE, seed=0, **options)
    assert model.levels == LEVELS
    model.fit(random_images(3, SIZE, SIZE), epochs=1, batch_size=3, verbose=0)
    maps = model.predict(random_images(1, SIZE, SIZE), verbose=0)["anomaly_map"]
    assert maps.shape == (1, SIZE, SIZE)
    assert np.isfinite(maps).all()


@pytest.mark.backend_independent
@pytest.mark.parametrize("preset", ["rlr_dinov2_small", "patchcore_dinov2_small"])
def test_the_presets_are_built_without_a_download(preset):
    method = keras_rlr.RLR if preset.startswith("rlr") else keras_rlr.PatchCore
    model = method.from_preset(preset, backbone_weights=None, image_size=126)
    assert model.levels == ((3, 4, 5, 6), (7, 8, 9, 10))
    assert model.feature_shapes == [(9, 9, 384)] * 2
    assert method.preset_for("dinov2_small") == preset
    assert not model.standardize_features
    assert model.memory_bank.distance == "cosine"
    if method is keras_rlr.RLR:
        assert (model.recipe.name, model.recipe.steps) == ("default", 1500)
    names = [layer.name for layer in model.feature_extractor.backbone.layers]
    assert "block_10" in names
    assert "block_11" not in names


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow",
    reason="other backends export in a process on TensorFlow, tested in tests/export",
)
def test_it_is_exported(model, tmp_path):
    check_export(tiny_rlr, model, tmp_path)
