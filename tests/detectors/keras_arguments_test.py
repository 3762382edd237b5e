"""Keras' own arguments, callbacks and habits, each supported or refused in words."""

import inspect

import keras
import numpy as np
import pytest

import keras_rlr
from keras_rlr.detectors.training_callbacks import EpochOrder, steps_taken
from tests.tiny_model import (
    IMAGE_SIZE,
    ONE_LEVEL,
    random_images,
    tiny_backbone,
    tiny_model,
)

pytestmark = pytest.mark.backend_independent

IMAGES = random_images(8)
QUIET = {"batch_size": 4, "verbose": 0}


@pytest.fixture(scope="module")
def model():
    model = tiny_model(**ONE_LEVEL)
    model.fit(IMAGES, epochs=1, **QUIET)
    return model


METHODS = ("fit", "evaluate", "predict", "train_on_batch", "test_on_batch")
METHODS += ("predict_on_batch", "compile", "set_weights")


@pytest.mark.parametrize("name", METHODS)
def test_arguments_stand_where_keras_has_them(name):
    def arguments(cls):
        parameters = inspect.signature(getattr(cls, name)).parameters.values()
        kinds = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
        return [p.name for p in parameters if p.kind not in kinds]

    expected, ours = arguments(keras.Model), arguments(keras_rlr.RLR)
    if name == "compile":
        expected = expected[:2]
    assert ours[: len(expected)] == expected


def test_validation_split_keeps_the_last_images_apart(model):
    fresh = tiny_model(**ONE_LEVEL)
    history = fresh.fit(IMAGES, epochs=2, validation_split=0.25, **QUIET).history
    expected = fresh.evaluate(IMAGES[6:], verbose=0, return_dict=True)["loss"]
    assert history["val_loss"][-1] == pytest.approx(expected, rel=1e-5)
    only_six = tiny_model(**ONE_LEVEL).fit(IMAGES[:6], epochs=2, **QUIET).history
    assert history["loss"] == only_six["loss"]


def test_validation_split_keeps_labels_with_their_images():
    labels = [0] * 6 + [0, 1]
    history = tiny_model(**ONE_LEVEL).fit(
        IMAGES, labels, epochs=1, validation_split=0.25, **QUIET
    )
    assert "val_image_auroc" in history.history
    with pytest.raises(ValueError, match="anomal"):
        tiny_model(**ONE_LEVEL).fit(
            IMAGES, labels[::-1], epochs=1, validation_split=0.25, **QUIET
        )


@pytest.mark.parametrize("share", [-0.1, 0.01, 0.99, 1.0, 2])
def test_a_share_that_leaves_nothing_is_refused(model, share):
    with pytest.raises(ValueError, match="both sides"):
        model.fit(IMAGES, epochs=1, validation_split=share, **QUIET)


def test_validation_is_asked_for_once(model):
    with pytest.raises(ValueError, match="not both"):
        model.fit(
            IMAGES, validation_split=0.5, validation_data=IMAGES, epochs=1, **QUIET
        )


def test_validation_steps_batch_size_and_frequency():
    model = tiny_model(**ONE_LEVEL)
    seen = []
    evaluate = model.evaluate
    model.evaluate = lambda x, **kwargs: seen.append(kwargs) or evaluate(x, **kwargs)
    history = model.fit(
        IMAGES,
        epochs=4,
        validation_data=IMAGES,
        validation_steps=2,
        validation_batch_size=3,
        validation_freq=2,
        **QUIET,
    )
    assert len(history.history["val_loss"]) == len(seen) == 2
    first_six = evaluate(IMAGES[:6], verbose=0)[0]
    assert history.history["val_loss"][-1] == pytest.approx(first_six, rel=1e-5)


def test_weights_of_classes_and_of_samples(model):
    with pytest.raises(ValueError, match="`class_weight` has no meaning"):
        model.fit(IMAGES, epochs=1, class_weight={0: 1.0}, **QUIET)
    with pytest.raises(ValueError, match="`class_weight` has no meaning"):
        model.train_on_batch(IMAGES, class_weight={0: 1.0})
    model.fit(IMAGES, epochs=1, sample_weight=np.ones(8), **QUIET)
    labels = [0, 1] * 4
    model.evaluate(IMAGES, labels, sample_weight=np.ones(8), verbose=0)
    halves = np.full(8, 0.5)
    for call in (
        lambda: model.fit(IMAGES, epochs=1, sample_weight=halves, **QUIET),
        lambda: model.evaluate(IMAGES, labels, sample_weight=halves, verbose=0),
        lambda: model.train_on_batch(IMAGES, sample_weight=halves),
        lambda: model.test_on_batch(IMAGES, labels, sample_weight=halves),
    ):
        with pytest.raises(ValueError, match="sample weight"):
            call()


def test_positional_arguments_mean_what_they_mean_in_keras(model):
    labels = [0, 1] * 4
    by_place = model.evaluate(IMAGES, labels, 4, 0, None, 1)
    by_name = model.evaluate(IMAGES, labels, batch_size=4, verbose=0, steps=1)
    np.testing.assert_allclose(by_place, by_name)
    assert model.predict(IMAGES, 4, 0, 1)["anomaly_score"].shape == (4,)


@pytest.mark.parametrize("call", ["fit", "predict", "evaluate", "calibrate"])
def test_paths_of_files_are_refused_with_a_way_out(model, call, tmp_path):
    for paths in (["a.png", "b.png"], [tmp_path / "a.png"], {"image": ["a.png"]}):
        with pytest.raises(ValueError, match="read_image"):
            getattr(model, call)(paths)


def test_a_dict_of_images_of_different_sizes(model):
    images = [random_images(1, 20 + i, 30)[0] for i in range(4)]
    scores = model.predict({"image": images}, verbose=0)["anomaly_score"]
    np.testing.assert_allclose(
        scores, model.predict(images, verbose=0)["anomaly_score"]
    )


def test_evaluate_calls_the_callbacks_of_a_test(model):
    class Record(keras.callbacks.Callback):
        def __init__(self):
            super().__init__()
            self.calls = []

        def on_test_begin(self, logs=None):
            self.calls.append("begin")

        def on_test_batch_end(self, batch, logs=None):
            self.calls.append((batch, logs["loss"]))

        def on_test_end(self, logs=None):
            self.calls.append(logs)

        def on_predict_begin(self, logs=None):
            raise AssertionError("evaluate is no prediction")

    record = Record()
    results = model.evaluate(
        IMAGES[:7], batch_size=3, verbose=0, callbacks=[record], return_dict=True
    )
    begin, *batches, end = record.calls
    assert begin == "begin"
    assert [number for number, _ in batches] == [0, 1, 2]
    assert end == results
    mean = np.average([loss for _, loss in batches], weights=[3, 3, 1])
    assert mean == pytest.approx(results["loss"], rel=1e-5)


@pytest.mark.parametrize("options", [{"workers": 3}, {"use_multiprocessing": True}])
def test_workers_of_a_pydataset_give_the_same_in_order(model, options):
    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return 4

        def __getitem__(self, index):
            return IMAGES[2 * index : 2 * index + 2]

    found = model.predict(Batches(**options), verbose=0)["anomaly_score"]
    expected = model.predict(IMAGES, verbose=0)["anomaly_score"]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_numpy_integers_are_integers(tmp_path):
    model = tiny_model(
        levels=np.int64(1),
        image_size=np.int32(IMAGE_SIZE),
        hidden_dims=np.array([16]),
        windows=np.int64(3),
        num_heads=np.int64(4),
        seed=np.int64(3),
    )
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert (loaded.levels, loaded.seed) == ((1,), 3)
    assert loaded.predict(IMAGES[:2], batch_size=np.int64(1), verbose=0)


class _Stop(Exception):
    pass


class _Interruption(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 2:
            raise _Stop


def test_backup_and_restore_is_exact(tmp_path):
    undisturbed = tiny_model(**ONE_LEVEL)
    undisturbed.fit(IMAGES, epochs=4, **QUIET)
    stopped = tiny_model(**ONE_LEVEL)
    with pytest.raises(_Stop):
        stopped.fit(
            IMAGES,
            epochs=4,
            callbacks=[keras.callbacks.BackupAndRestore(tmp_path), _Interruption()],
            **QUIET,
        )
    resumed = tiny_model(**ONE_LEVEL)
    history = resumed.fit(
        IMAGES, epochs=4, callbacks=keras.callbacks.BackupAndRestore(tmp_path), **QUIET
    )
    assert len(history.history["loss"]) == 2
    for weight, expected in zip(
        resumed.get_weights(), undisturbed.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(weight, expected)


def test_partly_loaded_weights_have_no_threshold(tmp_path):
    model = tiny_model(**ONE_LEVEL)
    model.calibrate(IMAGES, false_positive_rate=0.2)
    model.save_weights(tmp_path / "model.weights.h5")
    wider = tiny_model(**{**ONE_LEVEL, "hidden_dims": (20,)})
    wider.calibrate(IMAGES, false_positive_rate=0.2)
    with pytest.warns(UserWarning, match="could not be loaded|Skipping|mismatch"):
        wider.load_weights(tmp_path / "model.weights.h5", skip_mismatch=True)
    assert wider.threshold is None


def test_a_cloned_model_has_no_threshold(model):
    model.calibrate(IMAGES, false_positive_rate=0.2)
    assert keras.models.clone_model(model).threshold is None


def test_a_file_that_was_compiled_with_a_loss_loads(model):
    config = {**model.get_compile_config(), "loss": "mse", "metrics": ["mae"]}
    config["optimizer"] = "sgd"
    twin = tiny_model(**ONE_LEVEL)
    twin.compile_from_config(config)
    assert isinstance(twin.optimizer, keras.optimizers.SGD) and twin.loss is None


def test_float64_is_calibrated():
    model = tiny_model(**ONE_LEVEL, dtype="float64")
    model.fit(IMAGES, epochs=1, **QUIET)
    threshold = model.calibrate(IMAGES, 0.2)
    largest = max(model.predict(IMAGES, verbose=0)["anomaly_score"])
    assert threshold == pytest.approx(largest, rel=1e-3)


def test_callbacks_of_a_training_are_told_of_its_validation():
    """SwapEMAWeights then validates with the averages, as in Keras' own `fit`."""

    def averaging():
        model = tiny_model(**ONE_LEVEL)
        model.compile(keras.optimizers.Adam(1e-2, use_ema=True, ema_momentum=0.5))
        return model

    model = averaging()
    swap = keras.callbacks.SwapEMAWeights()
    history = model.fit(
        IMAGES, epochs=2, validation_data=IMAGES, callbacks=[swap], **QUIET
    ).history
    twin, found, plain = averaging(), [], []
    swap = keras.callbacks.SwapEMAWeights()
    swap.set_model(twin)

    class Evaluate(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            plain.append(twin.evaluate(IMAGES, verbose=0)[0])
            found.append(twin.evaluate(IMAGES, verbose=0, callbacks=[swap])[0])

    twin.fit(IMAGES, epochs=2, callbacks=[Evaluate()], **QUIET)
    np.testing.assert_allclose(history["val_loss"], found)
    assert not np.allclose(plain, found)


def test_steps_that_gather_gradients_have_noise_of_their_own():
    """Keras' `iterations` count those that change the weights alone."""
    model = tiny_model(**ONE_LEVEL)
    model.compile(keras.optimizers.SGD(0.0, gradient_accumulation_steps=2))
    fit = {"shuffle": False, "verbose": 0}
    losses = model.fit(IMAGES[:2], batch_size=2, epochs=4, **fit).history["loss"]
    assert len(set(losses)) == 4


@pytest.mark.needs_tensorflow
def test_gradients_are_gathered_over_data_of_unknown_length():
    """TensorFlow ends such data by a step without any, which is not to count."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(gradient_accumulation_steps=2), "mse")

    class Batches:
        num_batches = None

        def begin_epoch(self, epoch, step):
            pass

    order = EpochOrder(Batches())
    order.set_model(model)
    order.on_train_begin()
    for step in range(4):
        order.on_train_batch_end(step)
    order.on_epoch_end(0)
    on_tensorflow = keras.backend.backend() == "tensorflow"
    assert steps_taken(model) == (4 if on_tensorflow else 0)


def test_a_model_without_steps_takes_an_optimizer_that_gathers_gradients():
    model = keras_rlr.PatchCore(tiny_backbone(), levels=(1,), image_size=IMAGE_SIZE)
    model.compile(keras.optimizers.SGD(gradient_accumulation_steps=2))
    model.fit(IMAGES, verbose=0)
    assert np.isfinite(model.predict(IMAGES, verbose=0)["anomaly_score"]).all()


def test_what_could_not_be_loaded_is_not_quantized(model):
    before = model.predict(IMAGES, verbose=0)["anomaly_score"]
    reconstructor = keras_rlr.FeatureReconstructor(8, 3, 2, 1)
    reconstructor.build((None, 4, 4, 8))
    for each in (model, reconstructor):
        with pytest.raises(ValueError, match="can't be quantized in place"):
            each.quantize("int8")
    after = model.predict(IMAGES, verbose=0)["anomaly_score"]
    np.testing.assert_array_equal(after, before)
