"""All levels in one grid, by one reconstructor."""

import keras
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

import keras_rlr
from tests.layer_test_case import to_numpy
from tests.layers.anomaly_map_test import naive_error, upsample
from tests.tiny_model import IMAGE_SIZE, fit_losses, random_images, tiny_model

NORMAL = random_images(6)
TESTED = random_images(3, seed=2)
FUSED = {"hidden_dims": (16,), "windows": (1,), "fuse_levels": True}


def fused(**overrides):
    return tiny_model(**{**FUSED, "standardize_features": True, **overrides})


def blocks(levels):
    """Of the fine level the 2x2 tokens of a coarse one in a row; the coarse level."""
    fine, coarse = levels
    count, channels = len(fine), fine.shape[-1]
    fine = fine.reshape(count, 4, 2, 4, 2, channels).transpose(0, 1, 3, 2, 4, 5)
    return [fine.reshape(count, 4, 4, 4 * channels), coarse]


@pytest.mark.parametrize("damping", [0.0, 0.3])
def test_the_map_is_the_mean_of_the_levels_errors_in_one_grid(damping):
    model = fused(cosine_damping=damping)
    model.adapt(NORMAL)
    features = model.extract_features(TESTED)
    rebuilt = model.reconstruct(features)
    assert [r.shape for r in rebuilt] == [f.shape for f in features]
    # Four tokens of the fine level are four times as long, squared.
    norms = [
        count * float(to_numpy(layer.mean_squared_norm()))
        for count, layer in zip((4, 1), model.standardizations, strict=True)
    ]
    errors = [
        naive_error(f, r, damping * norm)
        for f, r, norm in zip(blocks(features), blocks(rebuilt), norms, strict=True)
    ]
    outputs = model.predict(TESTED, verbose=0)
    for i in range(3):
        size = (IMAGE_SIZE, IMAGE_SIZE)
        expected = sum(upsample(error[i], size) for error in errors) / 2
        np.testing.assert_allclose(outputs["anomaly_map"][i], expected, rtol=1e-3)
        score = gaussian_filter(expected, 4.0).max()
        np.testing.assert_allclose(outputs["anomaly_score"][i], score, rtol=1e-3)


@pytest.mark.backend_independent
def test_each_levels_error_has_the_same_part_in_the_loss():
    model = fused()
    model.fit(NORMAL, epochs=1, verbose=0)
    features = model.extract_features(TESTED)
    rebuilt = model.reconstruct(features)
    expected = sum(
        naive_error(f, r).mean()
        for f, r in zip(blocks(features), blocks(rebuilt), strict=True)
    )
    found = model.evaluate(TESTED, verbose=0, return_dict=True)["loss"]
    np.testing.assert_allclose(found, expected, rtol=1e-3)


@pytest.mark.backend_independent
def test_it_learns_with_one_reconstructor():
    model = fused()
    assert len(model.reconstructors) == len(model.perturbations) == 1
    losses = fit_losses(model, NORMAL, epochs=30)
    assert losses[-1] < 0.95 * losses[0]


@pytest.mark.backend_independent
def test_files_and_compact_copies_say_the_same(tmp_path):
    model = fused()
    model.fit(NORMAL, epochs=1, verbose=0)
    expected = model.predict(TESTED, verbose=0)["anomaly_map"]
    model.save(tmp_path / "model.keras")
    for other in (keras.saving.load_model(tmp_path / "model.keras"), model.compact()):
        found = other.predict(TESTED, verbose=0)["anomaly_map"]
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.backend_independent
def test_the_rate_falls_as_a_cosine_to_nothing():
    model = fused()
    rates = []

    class Note(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            rates.append(float(self.model.optimizer.learning_rate))

    model.fit(NORMAL, batch_size=6, epochs=4, verbose=0, callbacks=[Note()])
    share = 0.5 + 0.5 * np.cos(np.pi * (np.arange(4) + 0.5) / 4)
    np.testing.assert_allclose(rates, 4e-4 * share, rtol=1e-5)
    # A checkpoint, and a fit after this one, begin with the whole rate.
    np.testing.assert_allclose(float(model.optimizer.learning_rate), 4e-4, rtol=1e-6)


@pytest.mark.backend_independent
def test_a_preset_of_fused_levels_has_one_width_for_any_levels():
    for levels in ((1, 2, 3), (2, 3)):
        model = keras_rlr.RLR.from_preset("rlr_efficientnet_lite2_fused", levels=levels)
        assert model.hidden_dims == (256,)
        assert model.windows == (5,)
        assert model.grid_shapes == [
            (16, 16, 120 + 4 * 48 + 16 * 24 * (len(levels) > 2))
        ]


@pytest.mark.parametrize(
    ("overrides", "fused", "hidden_dims"),
    [
        ({}, True, (256,)),
        ({"levels": (1,), "hidden_dims": (16,)}, True, (16,)),
        ({"levels": (2, 3), "hidden_dims": (32, 64)}, False, (32, 64)),
        ({"levels": (2, 3), "windows": (7, 5)}, False, None),
        ({"fuse_levels": False}, False, None),
    ],
)
@pytest.mark.backend_independent
def test_several_widths_or_windows_are_of_levels_that_are_not_fused(
    overrides, fused, hidden_dims
):
    arguments = keras_rlr.RLR.preset_arguments("rlr_efficientnet_lite2", **overrides)
    assert arguments["fuse_levels"] == fused
    # None: by `RLR` itself, one a level.
    assert arguments.get("hidden_dims") == hidden_dims
    assert arguments["coreset_ratio"] > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden_dims": (16, 16)}, "hidden_dims"),
        ({"windows": (9,)}, "hides the whole"),
    ],
)
@pytest.mark.backend_independent
def test_refuses(options, message):
    with pytest.raises(ValueError, match=message):
        fused(**options)


@pytest.mark.backend_independent
@pytest.mark.parametrize("name", ["hidden_dims", "windows"])
def test_a_word_is_no_width(name):
    with pytest.raises(ValueError, match=f"`{name}` takes whole numbers"):
        keras_rlr.RLR("efficientnet_lite2", levels=(3,), **{name: "many"})
