"""What `fit` promises: every kind of data, determinism, resuming, standardisation."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops
from sklearn.metrics import roc_auc_score

from keras_rlr.inputs.image_source import ImageSource
from keras_rlr.inputs.training_batches import TrainingBatches
from keras_rlr.layers import loops
from tests.data_kinds import IMAGES, KINDS
from tests.tiny_model import (
    IMAGE_SIZE,
    ONE_LEVEL,
    fit_losses,
    random_images,
    restore,
    snapshot,
    tiny_model,
)


@pytest.fixture(scope="module")
def only_model():
    """One model for the tests of this file: a backend traces or compiles it once."""
    model = tiny_model()
    return model, snapshot(model)


@pytest.fixture
def model(only_model):
    """The model, as it was when it was new."""
    model, state = only_model
    restore(state)
    model.seed = 0
    return model


@pytest.fixture(scope="module")
def expected(only_model):
    """Losses and scores for the plain array, in its own order."""
    model, state = only_model
    restore(state)
    losses = fit_losses(model, IMAGES, epochs=2, batch_size=2, shuffle=False)
    return losses, model.predict(IMAGES, batch_size=2, verbose=0)["anomaly_score"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_data_trains_and_predicts_alike(kind, expected, model):
    losses, scores = expected
    data = KINDS[kind]()
    received = fit_losses(model, data, epochs=2, batch_size=2, shuffle=False)
    np.testing.assert_allclose(received, losses, rtol=1e-5)
    predicted = model.predict(data, batch_size=2, verbose=0)["anomaly_score"]
    np.testing.assert_allclose(predicted, scores, rtol=1e-4)


def test_images_of_different_sizes(model):
    images = [*random_images(2, 70, 33), *random_images(2, 32, 90, seed=1)]
    assert np.isfinite(fit_losses(model, images, epochs=1, batch_size=2)).all()
    outputs = model.predict(images, original_size=True, verbose=0)
    assert [m.shape for m in outputs["anomaly_map"]] == [(70, 33)] * 2 + [(32, 90)] * 2
    alone = model.predict(images[3][None], verbose=0)["anomaly_score"]
    np.testing.assert_allclose(outputs["anomaly_score"][3], alone[0], rtol=1e-4)


def test_endless_data_with_steps_per_epoch(model, expected):
    data = tf.data.Dataset.from_tensor_slices(IMAGES).repeat().batch(2)
    losses = fit_losses(model, data, epochs=2, steps_per_epoch=3)
    np.testing.assert_allclose(losses, expected[0], rtol=1e-5)


@pytest.mark.backend_independent
def test_one_seed_gives_the_same_losses_twice():
    options = {"epochs": 2, "batch_size": 3}
    first, second = (
        fit_losses(tiny_model(**ONE_LEVEL), IMAGES, **options) for _ in range(2)
    )
    assert first == second


@pytest.mark.backend_independent
def test_another_seed_gives_another_order_and_noise(model, expected):
    model.seed = 1
    losses = fit_losses(model, IMAGES, epochs=2, batch_size=2, shuffle=False)
    assert losses[0] != expected[0][0]
    np.testing.assert_allclose(losses, expected[0], rtol=0.1)


@pytest.mark.backend_independent
def test_another_seed_gives_other_initial_values():
    first, other = (tiny_model(seed=seed).trainable_weights for seed in (0, 1))
    for weight, another in zip(first, other, strict=True):
        values = ops.convert_to_numpy(weight)
        if weight.path.rsplit("/", 1)[-1] in ("kernel", "reference"):
            assert np.all(values != ops.convert_to_numpy(another)), weight.path


@pytest.mark.backend_independent
def test_set_random_seed_rules_where_no_seed_is_given():
    seeds = []
    for _ in range(2):
        keras.utils.set_random_seed(5)
        seeds.append(tiny_model(seed=None).seed)
    assert seeds[0] == seeds[1] != tiny_model(seed=None).seed


@pytest.mark.parametrize(
    "batch_size", [4, pytest.param(6, marks=pytest.mark.backend_independent)]
)
def test_resuming_gives_the_losses_of_an_uninterrupted_run(model, tmp_path, batch_size):
    state = snapshot(model)
    whole = fit_losses(model, IMAGES, epochs=3, batch_size=batch_size)
    restore(state)
    first = fit_losses(model, IMAGES, epochs=1, batch_size=batch_size)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    rest = fit_losses(loaded, IMAGES, epochs=3, initial_epoch=1, batch_size=batch_size)
    np.testing.assert_allclose(first + rest, whole, rtol=1e-6)


def partial_batch_loss(model, batch_size=4):
    """The loss of an epoch without learning, of six images."""
    model.optimizer.learning_rate = 0.0
    options = {"epochs": 1, "batch_size": batch_size, "shuffle": False}
    return fit_losses(model, IMAGES, **options)[0]


@pytest.mark.backend_independent
def test_the_last_partial_batch_counts_as_its_images():
    """Without learning and noise the loss is that of any other division of an epoch."""
    model = tiny_model(noise_scale=0.0, **ONE_LEVEL)
    losses = [partial_batch_loss(model, batch_size) for batch_size in (4, 2)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


@pytest.mark.backend_independent
def test_the_loss_of_an_epoch_is_the_mean_of_all_images(model):
    loss = partial_batch_loss(model)
    generator = TrainingBatches(
        ImageSource(IMAGES, 4), IMAGE_SIZE, seed=0, shuffle=False
    )
    each = [
        ops.convert_to_numpy(ops.stop_gradient(model(batch, training=True)["loss"]))
        for (batch,) in generator.generate()
    ]
    assert [len(errors) for errors in each] == [4, 2]
    assert loss == pytest.approx(np.concatenate(each).mean(), rel=1e-5)


@pytest.mark.backend_independent
def test_standardisation_is_of_the_training_features_and_only_once():
    model = tiny_model(standardize_features=True)
    with pytest.raises(ValueError, match=r"Call fit\(train_ds\), or adapt"):
        model.predict(IMAGES, verbose=0)
    fit_losses(model, IMAGES, epochs=1, batch_size=3)
    raw = [
        ops.convert_to_numpy(ops.stop_gradient(features))
        for features in model.feature_extractor(IMAGES)
    ]
    for layer, features in zip(model.standardizations, raw, strict=True):
        tokens = features.reshape(-1, features.shape[-1])
        np.testing.assert_allclose(
            ops.convert_to_numpy(layer.mean), tokens.mean(0), rtol=1e-4, atol=1e-5
        )
        np.testing.assert_allclose(
            ops.convert_to_numpy(layer.variance), tokens.var(0), rtol=1e-4, atol=1e-6
        )
    for features in model.extract_features(IMAGES):
        np.testing.assert_allclose(features.mean((0, 1, 2)), 0, atol=1e-3)
    before = [
        ops.convert_to_numpy(layer.mean).copy() for layer in model.standardizations
    ]
    fit_losses(model, IMAGES // 2, epochs=1)
    for layer, mean in zip(model.standardizations, before, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(layer.mean), mean)


@pytest.mark.backend_independent
def test_validation_data_is_logged_and_selects_nothing(model):
    data = {
        "image": IMAGES,
        "label": np.array([0, 1, 0, 1, 0, 1]),
        "mask": np.arange(6)[:, None, None] % 2 * np.ones((6, 20, 20)),
    }
    state = snapshot(model)
    losses = fit_losses(model, IMAGES, epochs=2, batch_size=2)
    restore(state)
    history = model.fit(
        IMAGES, epochs=2, batch_size=2, verbose=0, validation_data=data
    ).history
    assert set(history) == {
        *("loss", "val_loss", "val_image_auroc", "val_image_ap", "val_image_f1_max"),
        *("val_pixel_auroc", "val_pixel_ap", "val_pixel_f1_max", "val_pixel_aupro"),
    }
    np.testing.assert_allclose(history["loss"], losses, rtol=1e-6)
    last = model.evaluate(data, verbose=0, return_dict=True)
    assert history["val_loss"][-1] == pytest.approx(last["loss"], rel=1e-5)
    outputs = model.predict(IMAGES, verbose=0)
    masks = np.repeat(data["label"], IMAGE_SIZE**2)
    assert last["image_auroc"] == pytest.approx(
        roc_auc_score(data["label"], outputs["anomaly_score"])
    )
    assert last["pixel_auroc"] == pytest.approx(
        roc_auc_score(masks, outputs["anomaly_map"].ravel())
    )


class StopAtOnce(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        self.model.stop_training = True


@pytest.mark.backend_independent
def test_without_epochs_fit_takes_the_recipes_length(model):
    stop = StopAtOnce()
    model.fit(IMAGES, batch_size=2, verbose=0, callbacks=[stop])
    assert stop.params["epochs"] == model.recipe.epochs == 200


@pytest.mark.backend_independent
@pytest.mark.parametrize("cache", [None, "memory"])
def test_without_epochs_few_images_are_passed_over_more_often(cache):
    model = tiny_model(standardize_features=True, **ONE_LEVEL)
    stop = StopAtOnce()
    options = {"feature_cache": cache, "verbose": 0, "callbacks": [stop]}
    model.fit(IMAGES[:5], batch_size=2, **options)
    assert stop.params["epochs"] == 500
    assert model.recipe.steps == 1500
    model.fit(IMAGES[:5], batch_size=2, epochs=7, **options)
    assert stop.params["epochs"] == 7


@pytest.mark.backend_independent
def test_mixed_precision_trains_close_to_float32(model):
    exact = fit_losses(model, IMAGES, epochs=3, batch_size=2)
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = tiny_model()
        mixed = fit_losses(model, IMAGES, epochs=3, batch_size=2)
        outputs = model.predict(IMAGES, verbose=0)
    finally:
        keras.config.set_dtype_policy("float32")
    np.testing.assert_allclose(mixed, exact, rtol=0.02)
    assert {v.dtype for v in outputs.values()} == {np.dtype("float32")}
    assert {v.dtype for v in model.trainable_weights} == {"float32"}


@pytest.mark.backend_independent
@pytest.mark.needs_tensorflow
def test_xla_has_the_losses_and_maps_of_ops_one_by_one(monkeypatch):
    """What Keras picks on TensorFlow with a GPU, where attention takes many blocks."""
    monkeypatch.setattr(loops, "_SCORES_OF_CPU", 2**16)
    images, found = random_images(3), []
    for jit_compile in (False, True):
        model = tiny_model(
            levels=(1,),
            hidden_dims=(16,),
            windows=(5,),
            image_size=72,
            standardize_features=True,
        )
        # Without an optimizer: it stays the recipe's.
        model.compile(jit_compile=jit_compile)
        losses = fit_losses(model, images, epochs=2, batch_size=3)
        assert model.jit_compile is jit_compile
        found.append((losses, model.predict(images, verbose=0)["anomaly_map"]))
    np.testing.assert_allclose(found[1][0], found[0][0], rtol=1e-5)
    np.testing.assert_allclose(found[1][1], found[0][1], rtol=1e-4, atol=1e-5)


@pytest.mark.backend_independent
def test_compiling_without_an_optimizer_keeps_the_recipe():
    model = tiny_model(standardize_features=True)
    before = model.optimizer.get_config()
    model.compile(jit_compile=False)
    assert model.optimizer.get_config() == before
    model.compile("sgd")
    assert isinstance(model.optimizer, keras.optimizers.SGD)
