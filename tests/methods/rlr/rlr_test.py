"""Construction, configuration, and what the whole model computes."""

import keras
import numpy as np
import pytest
from keras import ops
from scipy.ndimage import gaussian_filter

import keras_rlr
from tests import one_program
from tests.tiny_model import (
    IMAGE_SIZE,
    ONE_LEVEL,
    fit_losses,
    random_images,
    restore,
    snapshot,
    tiny_model,
)

TABLE_3 = {
    "self-attention with residual": {"attentions": ("self",), "residual": True},
    "cross-attention with residual": {"attentions": ("cross",), "residual": True},
    "cross-attention": {"attentions": ("cross",)},
    "MLKA": {"attentions": ("mlka",)},
    "LCA": {"attentions": ("lca",)},
    "cross-attention and MLKA": {"attentions": ("cross", "mlka")},
    "MLKA and LCA": {"attentions": ("mlka", "lca")},
}


@pytest.fixture(scope="module")
def only_model():
    """One model for several tests: a backend traces or compiles it once."""
    model = tiny_model()
    return model, snapshot(model)


@pytest.fixture
def model(only_model):
    """The model, as it was when it was new."""
    model, state = only_model
    restore(state)
    return model


def interpolate_aligned(values, size):
    """Bilinear with aligned corners, by NumPy's own 1-d interpolation."""

    def line(v):
        return np.interp(np.linspace(0, len(v) - 1, size), np.arange(len(v)), v)

    return np.apply_along_axis(line, 1, np.apply_along_axis(line, 0, values))


def naive_errors(features, rebuilt, damping=0.0):
    square = np.mean((features - rebuilt) ** 2, -1)
    norms = np.linalg.norm(features, axis=-1) * np.linalg.norm(rebuilt, axis=-1)
    product = np.sum(features * rebuilt, -1)
    return square + 1 - (product + damping) / (norms + damping)


@pytest.mark.parametrize("damping", [0.0, 0.5])
def test_map_and_score_follow_from_features_and_reconstructions(damping):
    model = tiny_model(standardize_features=damping > 0, cosine_damping=damping)
    images = random_images(3, 50, 41)
    if damping:
        model.adapt(images)
    features = model.extract_features(images)
    rebuilt = model.reconstruct(features)
    outputs = model.predict(images, verbose=0)
    # A standardised token has a mean squared norm of its number of channels.
    maps = np.mean(
        [
            [
                interpolate_aligned(error, IMAGE_SIZE)
                for error in naive_errors(f, r, damping * f.shape[-1])
            ]
            for f, r in zip(features, rebuilt, strict=True)
        ],
        axis=0,
    )
    np.testing.assert_allclose(outputs["anomaly_map"], maps, rtol=1e-4, atol=1e-4)
    scores = [gaussian_filter(m, 4.0).max() for m in outputs["anomaly_map"]]
    np.testing.assert_allclose(outputs["anomaly_score"], scores, rtol=1e-5)


def test_loss_is_the_sum_over_levels(model):
    images = random_images(4)
    features = model.extract_features(images)
    rebuilt = model.reconstruct(features)
    expected = sum(
        naive_errors(f, r).mean() for f, r in zip(features, rebuilt, strict=True)
    )
    loss = model.evaluate(images, verbose=0, return_dict=True)["loss"]
    assert loss == pytest.approx(expected, rel=1e-5)


def test_calling_the_model_is_predicting(model):
    images = random_images(9, 45, 60)
    called = one_program.call(model, images)
    outputs = {k: ops.convert_to_numpy(ops.stop_gradient(v)) for k, v in called.items()}
    assert sorted(outputs) == ["anomaly_map", "anomaly_score"]
    for name, value in model.predict(images, verbose=0).items():
        np.testing.assert_allclose(outputs[name], value, rtol=1e-4)


@pytest.mark.backend_independent
def test_config_round_trip_has_the_same_settings():
    model = tiny_model(alpha=1.5, noise_scale=2.0, attentions=("cross", "mlka"))
    again = keras_rlr.RLR.from_config(model.get_config())
    assert again.get_config() == model.get_config()
    assert [v.shape for v in again.weights] == [v.shape for v in model.weights]


@pytest.mark.backend_independent
@pytest.mark.parametrize("row", TABLE_3)
def test_every_row_of_table_3_trains(row):
    # All levels have the same blocks.
    model = tiny_model(**ONE_LEVEL, **TABLE_3[row])
    losses = fit_losses(model, random_images(4), epochs=2, batch_size=2)
    assert losses[1] < losses[0]


def test_only_the_reconstructors_are_trained():
    model = tiny_model(standardize_features=True)
    images = random_images(4)
    model.adapt(images)
    frozen = [*model.feature_extractor.weights]
    frozen += [w for layer in model.standardizations for w in layer.weights]
    before = [ops.convert_to_numpy(w).copy() for w in frozen]
    trained = [ops.convert_to_numpy(w).copy() for w in model.trainable_weights]
    fit_losses(model, images, epochs=2, batch_size=2)
    assert len(frozen) > 8  # convolutions, batch norm and moments
    for weight, value in zip(frozen, before, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(weight), value)
    for weight, value in zip(model.trainable_weights, trained, strict=True):
        assert np.any(ops.convert_to_numpy(weight) != value), weight.path


@pytest.mark.backend_independent
@pytest.mark.parametrize(
    ("shape", "hidden_dim", "window", "millions"),
    [
        ((64, 64, 40), 128, 11, 1.24),
        ((32, 32, 72), 256, 7, 4.34),
        ((16, 16, 200), 512, 5, 17.17),
    ],
)
def test_parameters_of_the_papers_levels(shape, hidden_dim, window, millions):
    model = keras_rlr.FeatureReconstructor(hidden_dim, window, seed=0)
    model.build((None, *shape))
    assert model.count_params() / 1e6 == pytest.approx(millions, abs=0.005)


@pytest.mark.backend_independent
def test_presets_are_the_models_they_say():
    model = keras_rlr.RLR.from_preset("rlr_efficientnet_lite2", image_size=96)
    assert model.backbone_name == "efficientnet_lite2"
    assert model.standardize_features and model.cosine_damping > 0
    assert model.recipe.name == "default"
    paper = keras_rlr.RLR.from_preset(
        "rlr_efficientnet_b6_two_level", backbone_weights=None, image_size=96
    )
    assert (paper.levels, paper.hidden_dims, paper.windows) == (
        (2, 3),
        (256, 512),
        (7, 5),
    )
    assert (paper.noise_scale, paper.alpha, paper.num_blocks) == (4.0, 2.0, 4)
    assert not paper.standardize_features and paper.cosine_damping == 0
    assert (paper.recipe.name, paper.recipe.epochs, paper.recipe.batch_size) == (
        "paper",
        200,
        4,
    )
    assert float(paper.optimizer.learning_rate) == pytest.approx(1e-4)


@pytest.mark.backend_independent
def test_a_preset_without_standardisation_has_the_papers_cosine():
    model = keras_rlr.RLR.from_preset(
        "rlr_efficientnet_lite2", image_size=96, standardize_features=False
    )
    assert model.cosine_damping == 0


@pytest.mark.backend_independent
def test_threshold_survives_saving(model, tmp_path):
    assert model.threshold is None
    images = random_images(9)
    scores = np.sort(model.predict(images, verbose=0)["anomaly_score"])
    # ⌈10 · 0.8⌉ = 8: the eighth smallest, and a ten-thousandth more.
    threshold = model.calibrate(images, false_positive_rate=0.2)
    assert threshold == pytest.approx(1.0001 * scores[7], rel=1e-6)
    assert threshold > scores[7]
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.threshold == threshold
    flags = loaded.predict(images, verbose=0)["is_anomalous"]
    # The image that set the threshold is not above it, whatever its batch.
    assert flags.dtype == bool and flags.sum() == 1
    alone = [loaded.predict(i[None], verbose=0)["is_anomalous"][0] for i in images]
    np.testing.assert_array_equal(alone, flags)


@pytest.mark.backend_independent
def test_calibration_names_how_many_images_a_rate_needs(model):
    with pytest.raises(ValueError, match="needs at least 99 normal images.*Received 5"):
        model.calibrate(random_images(5), false_positive_rate=0.01)
    assert model.threshold is None
