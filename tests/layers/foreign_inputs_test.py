"""Inputs that a layer was not built for are refused, and integers are numbers."""

import keras
import numpy as np
import pytest

import keras_rlr
from keras_rlr import layers
from tests.layer_test_case import to_numpy
from tests.layers.random_tokens import random_tokens

TOKENS = random_tokens(2, 6, 6, 8)
MAP = TOKENS[..., 0]


def built(layer, *inputs):
    layer(*inputs)
    return layer


def usual_map():
    return layers.UsualMap(neighbors=1, capacity=2)


# What Keras or NumPy would broadcast, or reshape to tokens of other places.
FOREIGN = {
    "a map with channels": (layers.AnomalyScore, (MAP,), (TOKENS,)),
    "one channel, means": (
        layers.FeatureStandardization,
        (TOKENS,),
        (TOKENS[..., :1],),
    ),
    "one channel, a bank": (layers.MemoryBank, (TOKENS,), (TOKENS[..., :1],)),
    "one channel, moments": (
        layers.WeightedBatchNormalization,
        (TOKENS,),
        (TOKENS[..., :1],),
    ),
    "one channel, a code": (
        layers.SinePositionEncoding2D,
        (TOKENS,),
        (TOKENS[..., :1],),
    ),
    "one channel, descriptions": (usual_map, (MAP, MAP[:, 0]), (MAP, MAP[:, 0, :1])),
    "another map": (usual_map, (MAP, MAP[:, 0]), (MAP[:, :3], MAP[:, 0])),
    "another grid, Gaussians": (
        layers.PositionGaussians,
        (TOKENS,),
        (TOKENS.reshape(2, 3, 12, 8),),
    ),
    "another grid, references": (
        layers.ReferenceWeights,
        (TOKENS,),
        (TOKENS.reshape(2, 3, 12, 8),),
    ),
    "another grid, a model": (
        lambda: keras_rlr.FeatureReconstructor(8, 3, 2, 1, seed=0),
        (TOKENS,),
        (TOKENS[:, :1],),
    ),
    "a reference of another grid": (
        lambda: layers.LocalCrossAttention(3, 2, seed=0),
        (TOKENS, TOKENS[:1]),
        (TOKENS, TOKENS[:1].reshape(1, 3, 12, 8)),
    ),
    "an unknown grid": (
        lambda: layers.MaskedLearnableKeyAttention(3, 2, seed=0),
        (TOKENS, TOKENS[:1]),
        (keras.Input((None, None, 8)), TOKENS[:1]),
    ),
}


@pytest.mark.backend_independent
@pytest.mark.parametrize("name", FOREIGN)
def test_what_it_was_not_built_for_is_refused(name):
    make, own, foreign = FOREIGN[name]
    layer = make()
    if name != "an unknown grid":
        layer(*own)
    with pytest.raises(
        ValueError, match="incompatible|must lie in|descriptions of|must be known"
    ):
        layer(*foreign)


@pytest.mark.parametrize(
    "make",
    [
        lambda: layers.FeatureAggregation(),
        lambda: built(layers.FeatureStandardization(), TOKENS),
        lambda: layers.FeaturePerturbation(seed=0),
        lambda: built(layers.MemoryBank(), TOKENS),
        lambda: built(layers.PositionGaussians(), TOKENS),
        lambda: layers.WeightedBatchNormalization(),
    ],
    ids=["mean", "moments", "noise", "bank", "gaussians", "norm"],
)
def test_integers_are_numbers(make):
    layer, bytes_ = make(), (np.abs(TOKENS) * 90).astype("uint8")
    options = {"training": True} if "Perturbation" in type(layer).__name__ else {}
    if options:
        options["noise_key"] = np.ones((2, 2), "int32")
    found = layer(bytes_, **options)
    assert keras.backend.standardize_dtype(found.dtype) == "float32"
    expected = to_numpy(layer(bytes_.astype("float32"), **options))
    np.testing.assert_allclose(to_numpy(found), expected, rtol=1e-6)


@pytest.mark.parametrize("grid", ["finest", "coarsest"])
def test_levels_of_integers_are_resampled(grid):
    levels = [(np.abs(x) * 90).astype("uint8") for x in (TOKENS, TOKENS[:, ::2, ::2])]
    exact = [level.astype("float32") for level in levels]
    found, expected = (to_numpy(layers.FusedLevels(grid)(x)) for x in (levels, exact))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.backend_independent
def test_the_damping_of_a_map_may_be_an_array():
    levels = [TOKENS, TOKENS[:, :3, :3]]
    others = [2 * level[..., ::-1] for level in levels]
    layer = layers.AnomalyMap((6, 6))
    found = layer(levels, others, damping=np.array([0.5, 2.0]))
    expected = layer(levels, others, damping=[0.5, 2.0])
    np.testing.assert_array_equal(to_numpy(found), to_numpy(expected))
