"""Random feature grids, and layers whose every weight is random."""

import numpy as np


def random_tokens(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def with_random_weights(layer, *shapes):
    """Builds the layer; zero biases would hide a bias that is left out."""
    layer.build(*shapes)
    generator = np.random.default_rng(9)
    for variable in layer.weights:
        variable.assign(generator.normal(0, 0.4, variable.shape))
    return layer
