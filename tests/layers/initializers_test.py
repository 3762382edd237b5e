import keras
import numpy as np
import pytest
from keras import ops

from keras_rlr.layers import SeededNormal, SeededUniform
from keras_rlr.layers.initializers import derive_seed, resolve_seed


def draw(initializer, shape=(200, 300)):
    return ops.convert_to_numpy(initializer(shape, dtype="float32"))


def test_uniform_fills_its_interval():
    values = draw(SeededUniform(0.5, seed=1))
    assert np.abs(values).max() <= 0.5
    assert np.abs(values).max() > 0.4999
    assert abs(values.mean()) < 0.005
    assert abs(values.std() / (0.5 / 3**0.5) - 1) < 0.01


def test_normal_has_its_deviation():
    values = draw(SeededNormal(2.0, seed=1))
    assert abs(values.mean()) < 0.03
    assert abs(values.std() / 2.0 - 1) < 0.01


@pytest.mark.parametrize("initializer", [SeededUniform, SeededNormal])
def test_the_seed_alone_decides(initializer):
    first = draw(initializer(1.0, seed=3))
    np.testing.assert_array_equal(draw(initializer(1.0, seed=3)), first)
    assert np.abs(draw(initializer(1.0, seed=4)) - first).max() > 0.5
    copy = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(initializer(1.0, seed=3))
    )
    np.testing.assert_array_equal(draw(copy), first)


def test_values_are_the_same_on_every_backend():
    """The first values, as NumPy's Philox generator gives them."""
    generator = np.random.Generator(np.random.Philox(7))
    expected = generator.standard_normal(4, dtype="float32")
    np.testing.assert_array_equal(draw(SeededNormal(1.0, seed=7), (4,)), expected)


def test_a_derived_seed_depends_on_seed_and_name():
    seeds = {derive_seed(seed, name) for seed in range(20) for name in ("a", "b", "ab")}
    assert len(seeds) == 60
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert derive_seed(5, "query") == derive_seed(5, "query")


def test_no_seed_means_one_that_keras_own_seed_rules():
    keras.utils.set_random_seed(11)
    first = [resolve_seed(None) for _ in range(3)]
    keras.utils.set_random_seed(11)
    assert [resolve_seed(None) for _ in range(3)] == first
    assert len(set(first)) == 3


@pytest.mark.parametrize("seed", [-1, 1.5, True, "7", [1]])
def test_what_is_no_seed_is_refused(seed):
    with pytest.raises(ValueError, match="None or an integer of at least 0"):
        resolve_seed(seed)
