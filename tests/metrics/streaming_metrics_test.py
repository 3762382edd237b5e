import math
import warnings

import keras
import numpy as np
import pytest
from hypothesis import given, settings

import keras_rlr
from keras_rlr.metrics import AUROC, AveragePrecision, F1Max, functional
from tests.metrics.labelled_scores import labelled_scores

TWINS = {
    AUROC: functional.auroc,
    AveragePrecision: functional.average_precision,
    F1Max: lambda *data: functional.f1_max(*data)[0],
}
ROUNDING = 2e-6
BACKEND = keras.backend.backend()


def random_scores(count, seed=0):
    generator = np.random.default_rng(seed)
    labels = generator.random(count) < 0.1
    return labels, (generator.gamma(2.0, size=count) + labels).astype("float32")


def streamed(metric, labels, scores, parts=3):
    for pair in zip(
        np.array_split(labels, parts), np.array_split(scores, parts), strict=True
    ):
        metric.update_state(*pair)
    return float(metric.result())


@pytest.mark.parametrize("kind", TWINS)
def test_is_within_its_bound_of_the_exact_value(kind):
    labels, scores = random_scores(20_000)
    metric = kind(resolution=14)
    value = streamed(metric, labels, scores)
    error = abs(value - TWINS[kind](labels, scores))
    assert error <= metric.error_bound() + ROUNDING
    assert 0 < metric.error_bound() < 0.02


@pytest.mark.parametrize("kind", TWINS)
def test_a_finer_resolution_has_a_smaller_bound(kind):
    labels, scores = random_scores(20_000)
    bounds = []
    for resolution in (12, 16, 20):
        metric = kind(resolution=resolution)
        streamed(metric, labels, scores)
        bounds.append(metric.error_bound())
    assert bounds[0] > 3 * bounds[1] > 9 * bounds[2]


def compiled(function):
    """A function of arrays as one program, where the backend has such."""
    if BACKEND == "jax":
        import jax

        return jax.jit(function)
    if BACKEND == "tensorflow":
        import tensorflow as tf

        return tf.function(function)
    return function


@pytest.fixture(scope="module")
def steps():
    """Metrics, and what a compiled step makes of arrays of one size: their values."""
    metrics = [kind(resolution=10) for kind in TWINS]

    def step(states, labels, scores, weights):
        values = []
        for metric, state in zip(metrics, states, strict=True):
            state = metric.stateless_update_state([state], labels, scores, weights)
            values.append(metric.stateless_result(state))
        return values

    return metrics, compiled(step)


MOST_PAIRS = 60


@settings(deadline=None, max_examples=40)
@given(pairs=labelled_scores)
def test_small_and_adversarial_data(steps, pairs):
    labels, scores = pairs
    # Metrics see float32; what lies closer together than that is a tie for both.
    scores = scores.astype("float32")
    metrics, step = steps
    values = step(
        [np.zeros(metric.counts.shape, "int32") for metric in metrics],
        *(np.resize(x, MOST_PAIRS) for x in (labels, scores)),
        (np.arange(MOST_PAIRS) < len(labels)).astype("float32"),
    )
    for (kind, exact), in_step in zip(TWINS.items(), values, strict=True):
        metric = kind(resolution=10)
        value = streamed(metric, labels, scores, parts=2)
        bound = metric.error_bound() + ROUNDING
        assert abs(value - exact(labels, scores)) <= bound
        assert float(in_step) == pytest.approx(value, abs=ROUNDING)


@pytest.mark.parametrize("kind", TWINS)
def test_equal_scores_are_exact(kind):
    labels = np.array([0, 1, 0, 0, 1])
    metric = kind()
    metric.update_state(labels, np.zeros(5, "float32"))
    assert float(metric.result()) == pytest.approx(TWINS[kind](labels, np.zeros(5)))


def test_minus_zero_is_zero_and_infinities_are_ordered():
    metric = AUROC()
    metric.update_state([0, 1], [0.0, -0.0])
    assert float(metric.result()) == 0.5
    metric.reset_state()
    metric.update_state([0, 0, 1, 1], [-math.inf, 1.0, 1.0, math.inf])
    assert float(metric.result()) == 0.875


def test_the_threshold_attains_the_value():
    labels, scores = random_scores(5_000)
    metric = F1Max(resolution=14)
    value = streamed(metric, labels, scores)
    called = scores >= metric.threshold()
    true = (called & labels).sum()
    assert value == pytest.approx(2 * true / (called.sum() + labels.sum()), abs=1e-6)


@pytest.mark.parametrize("kind", TWINS)
@pytest.mark.parametrize("label", [0, 1])
def test_a_single_class_is_nan_with_a_warning(kind, label):
    metric = kind()
    metric.update_state([label] * 3, [1.0, 2.0, 3.0])
    with pytest.warns(UserWarning, match="is undefined without both classes"):
        assert math.isnan(float(metric.result()))
    assert math.isnan(metric.error_bound())


@pytest.mark.parametrize("kind", TWINS)
def test_weights_leave_values_out(kind):
    labels, scores = random_scores(1_000)
    kept = np.arange(1_000) % 3 > 0
    weighted, chosen = kind(), kind()
    weighted.update_state(labels, scores, sample_weight=kept.astype("float32"))
    chosen.update_state(labels[kept], scores[kept])
    assert float(weighted.result()) == float(chosen.result())


@pytest.mark.parametrize("eagerly", [True, False])
@pytest.mark.parametrize("shape", [(1,), (12,)], ids=str)
def test_weights_of_images_are_of_all_their_values_as_in_keras(shape, eagerly):
    """In a model of Keras; 12 values of 12 images could be weighted by either axis."""
    _, scores = random_scores(12 * math.prod(shape))
    labels = np.arange(scores.size) % 4 == 0
    labels, scores = (x.reshape(12, *shape) for x in (labels, scores))
    kept = np.arange(12) % 3 > 0
    model = keras.Sequential([keras.Input(shape), keras.layers.Identity()])
    ours, keras_own = AUROC(name="ours"), keras.metrics.MeanSquaredError(name="own")
    model.compile(weighted_metrics=[ours, keras_own], loss="mse", run_eagerly=eagerly)
    found = model.evaluate(
        scores,
        labels[:, 0] if shape == (1,) else labels,
        sample_weight=kept.astype("float32"),
        batch_size=12,
        verbose=0,
        return_dict=True,
    )
    chosen = AUROC()
    chosen.update_state(labels[kept], scores[kept])
    assert found["ours"] == pytest.approx(float(chosen.result()), abs=1e-6)
    square = np.square(labels * 1.0 - scores)[kept].mean()
    assert found["own"] == pytest.approx(square, rel=1e-5)


def test_another_shape_is_refused_in_a_compiled_step():
    """A batch of one would be broadcast, to as many labels as there are scores."""
    metric = AUROC(resolution=10)
    step = compiled(lambda *data: metric.stateless_update_state(*data))
    state = [np.zeros(metric.counts.shape, "int32")]
    with pytest.raises(ValueError, match="must have the same shape"):
        step(state, np.ones((1, 1)), np.ones((1, 5), "float32"))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (([0, 1], [1.0, math.nan]), "must hold no NaN. Received 1 among 2"),
        (([0, 1, 1], [1.0, 2.0]), "must have the same shape"),
        (([0, 255], [1.0, 2.0]), "a mask needs `mask > 0`"),
        (([0, 1], [1.0, 2.0], [1.0, 0.5]), "must be 0 or 1. Received: .*0.5"),
    ],
)
def test_refuses(data, message):
    with pytest.raises(ValueError, match=message):
        AUROC().update_state(*map(np.array, data))


@pytest.mark.parametrize("kind", TWINS)
def test_round_trip_and_reset(kind):
    metric = kind(resolution=12, name="mine")
    again = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(metric)
    )
    assert again.get_config() == metric.get_config()
    labels, scores = random_scores(100)
    metric.update_state(labels, scores)
    first = float(metric.result())
    metric.reset_state()
    metric.update_state(labels, scores)
    assert float(metric.result()) == first


def test_works_in_compiled_steps():
    generator = np.random.default_rng(0)
    x = generator.normal(size=(64, 1)).astype("float32")
    y = (x[:, 0] + generator.normal(size=64) > 0).astype("int32")
    model = keras.Sequential([keras.Input((1,)), keras.layers.Flatten()])
    model.compile(
        loss="mse",
        metrics=[AUROC(resolution=16), AveragePrecision(resolution=16)],
    )
    with warnings.catch_warnings():
        if keras.backend.backend() == "torch":
            # Keras builds metrics there by a call on ones, of one class.
            warnings.filterwarnings("ignore", "AUROC is undefined")
            warnings.filterwarnings("ignore", "Average precision is undefined")
        logs = model.evaluate(x, y[:, None], batch_size=16, return_dict=True, verbose=0)
    assert logs["auroc"] == pytest.approx(functional.auroc(y, x[:, 0]), abs=2e-3)
    exact = functional.average_precision(y, x[:, 0])
    assert logs["average_precision"] == pytest.approx(exact, abs=2e-3)


def test_nan_in_a_compiled_step_makes_the_result_nan():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Flatten()])
    model.compile(loss="mse", metrics=[AUROC(resolution=12)])
    x = np.array([[0.0], [1.0], [np.nan], [2.0]], "float32")
    y = np.array([[0], [1], [0], [1]])
    if keras.backend.backend() == "torch":
        with pytest.raises(ValueError, match="must hold no NaN"):
            model.evaluate(x, y, verbose=0)
    else:
        assert math.isnan(model.evaluate(x, y, return_dict=True, verbose=0)["auroc"])


def test_public_names():
    assert sorted(keras_rlr.metrics.__all__) == [
        "AUPRO",
        "AUROC",
        "AveragePrecision",
        "F1Max",
        "functional",
    ]
