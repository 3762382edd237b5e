import numpy as np
import pytest
from keras import ops
from scipy import stats

from keras_rlr.layers import FeaturePerturbation
from tests.golden_weights import assert_close
from tests.layer_test_case import check_layer
from tests.layers.counter_hash import naive_perturbation
from tests.layers.random_tokens import random_tokens

pytestmark = pytest.mark.optimized

KEYS = np.array([[0, 3], [0, 4], [1, 3]], "int32")


@pytest.fixture(scope="module")
def features():
    """Tokens whose norms differ."""
    scales = np.linspace(0.5, 8.0, 3 * 12 * 10).reshape(3, 12, 10, 1)
    return (random_tokens(3, 12, 10, 24) * scales).astype("float32")


def perturb(layer, features, keys=KEYS):
    return ops.convert_to_numpy(layer(features, noise_key=keys, training=True))


def test_contract(features):
    check_layer(FeaturePerturbation(seed=0), features)


def test_features_pass_unchanged_unless_training(features):
    layer = FeaturePerturbation()
    for output in (
        layer(features),
        layer(features, noise_key=KEYS, training=False),
        FeaturePerturbation(scale=0.0)(features, training=True),
        FeaturePerturbation(probability=0.0)(features, training=True),
    ):
        np.testing.assert_array_equal(ops.convert_to_numpy(output), features)


def test_noise_is_normal_with_the_deviation_of_the_authors(features):
    noise = perturb(FeaturePerturbation(scale=4.0, seed=1), features) - features
    deviation = 4.0 * np.linalg.norm(features, axis=-1, keepdims=True) / 24
    standard = noise / deviation
    assert abs(standard.mean()) < 0.03
    assert abs(standard.std() - 1.0) < 0.02
    assert stats.kstest(standard.ravel(), "norm").pvalue > 0.01
    # Neither faint nor strong tokens get more of it.
    faint, strong = np.split(standard.reshape(-1, 24), 2)
    assert abs(faint.std() - 1.0) < 0.02
    assert abs(strong.std() - 1.0) < 0.02


@pytest.mark.parametrize("probability", [1.0, 0.75, 0.31])
def test_equals_the_noise_of_the_hash_in_numpy(features, probability):
    """So it is the same on every backend."""
    layer = FeaturePerturbation(scale=4.0, probability=probability, seed=5)
    expected = naive_perturbation(features, KEYS, 5, 4.0, probability)
    assert_close(perturb(layer, features), expected, tolerance=1e-5)


@pytest.mark.parametrize("probability", [0.9, 0.5, 0.01])
def test_exactly_the_promised_number_of_tokens_stays_clean(features, probability):
    noisy = perturb(FeaturePerturbation(probability=probability, seed=2), features)
    clean = np.all(noisy == features, axis=-1).reshape(3, -1)
    assert clean.sum(axis=-1).tolist() == [int((1 - probability) * 120)] * 3
    assert not np.array_equal(clean[0], clean[1])


def test_the_same_key_gives_the_same_noise_wherever_the_image_stands(features):
    layer = FeaturePerturbation(seed=3)
    first = perturb(layer, features)
    turned = perturb(layer, features[::-1].copy(), KEYS[::-1].copy())
    assert_close(turned[::-1], first, tolerance=1e-6)
    assert_close(perturb(layer, features[1:2], KEYS[1:2]), first[1:2], tolerance=1e-6)


def test_other_keys_and_seeds_give_other_noise(features):
    same = np.repeat(features[:1], 3, axis=0)
    noise = perturb(FeaturePerturbation(seed=3), same) - same
    other = perturb(FeaturePerturbation(seed=4), same) - same
    rows = np.concatenate([noise, other]).reshape(6, -1)
    assert np.abs(np.corrcoef(rows) - np.eye(6)).max() < 0.06


def test_without_keys_each_call_draws_new_noise_from_the_seed(features):
    def two_calls():
        layer = FeaturePerturbation(seed=7)
        return [ops.convert_to_numpy(layer(features, training=True)) for _ in range(2)]

    first, second = two_calls()
    assert np.abs(first - second).max() > 0.1
    np.testing.assert_array_equal(two_calls(), [first, second])


def test_noise_is_computed_in_float32_under_mixed_precision(features):
    layer = FeaturePerturbation(seed=3, dtype="mixed_bfloat16")
    half = ops.cast(features, "bfloat16")
    output = layer(half, noise_key=KEYS, training=True)
    expected = perturb(
        FeaturePerturbation(seed=3), ops.convert_to_numpy(ops.cast(half, "float32"))
    )
    assert_close(ops.cast(output, "float32"), expected, tolerance=2**-8)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"scale": -1.0}, "`scale` must be a finite number of at least 0"),
        ({"scale": float("nan")}, "`scale` must be a finite number of at least 0"),
        ({"probability": 1.5}, r"`probability` must be in \[0, 1\]"),
        ({"seed": -3}, "`seed` must be None or an integer"),
        ({"seed": "a"}, "`seed` must be None or an integer"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        FeaturePerturbation(**arguments)


def test_dropout_hides_a_share_of_the_values_and_lifts_the_others(features):
    hidden = perturb(FeaturePerturbation(scale=0.0, dropout=0.3, seed=1), features)
    is_hidden = hidden == 0
    assert abs(is_hidden.mean() - 0.3) < 0.01
    np.testing.assert_allclose(
        hidden[~is_hidden], features[~is_hidden] / 0.7, rtol=1e-6
    )
    # Others of another image, and after the noise where there is some.
    assert (is_hidden[0] != is_hidden[1]).mean() > 0.3
    both = perturb(FeaturePerturbation(scale=4.0, dropout=0.3, seed=1), features)
    noisy = perturb(FeaturePerturbation(scale=4.0, seed=1), features)
    np.testing.assert_array_equal(both == 0, is_hidden)
    np.testing.assert_allclose(both[~is_hidden], noisy[~is_hidden] / 0.7, rtol=1e-6)


@pytest.mark.parametrize("dropout", [-0.1, 1.0])
def test_a_dropout_that_is_no_share_is_refused(dropout):
    with pytest.raises(ValueError, match="`dropout` must be in"):
        FeaturePerturbation(dropout=dropout)
