"""The noise's hash once more, in NumPy's unsigned integers."""

import numpy as np
from scipy.special import ndtri

from keras_rlr.layers.initializers import derive_seed


def lowbias32(value):
    """Wellons' 32-bit integer hash."""
    value = (value ^ (value >> np.uint32(16))) * np.uint32(0x7FEB352D)
    value = (value ^ (value >> np.uint32(15))) * np.uint32(0x846CA68B)
    return value ^ (value >> np.uint32(16))


def naive_uniform(keys, size, stream):
    """What `counter_uniform` must return, exactly."""
    keys = np.asarray(keys).astype("uint32")
    position = np.arange(size, dtype="uint32")[None] * np.uint32(0x9E3779B9)
    bits = lowbias32(position + lowbias32(keys[:, :1] ^ np.uint32(stream)))
    bits = lowbias32(bits ^ keys[:, 1:]) >> np.uint32(9)
    return (bits.astype("float64") + 0.5) / 2**22 - 1.0


def naive_normal(keys, size, stream):
    """What `counter_normal` must return, in float64."""
    return ndtri((naive_uniform(keys, size, stream) + 1.0) / 2.0)


def naive_perturbation(features, keys, seed, scale, probability):
    """What `FeaturePerturbation` must return, in float64."""
    batch, height, width, channels = features.shape
    noise = naive_normal(keys, height * width * channels, seed)
    noise = noise.reshape(features.shape)
    noise *= np.linalg.norm(features, axis=-1, keepdims=True) * scale / channels
    draw = naive_uniform(keys, height * width, derive_seed(seed, "clean"))
    clean = int((1 - probability) * height * width)
    rank = np.argsort(np.argsort(draw, axis=-1), axis=-1)
    noise *= (rank >= clean).reshape(batch, height, width, 1)
    return features + noise
