"""The two losses of DRAEM that the package has no other use for."""

import functools

import numpy as np
from keras import ops

WINDOW = 11
_SIGMA = 1.5


@functools.lru_cache(maxsize=16)
def window_matrix(length, weights):
    """Matrix (length, length) that sums windows of a line, zeros outside of it.

    Args:
        length: Of the line.
        weights: Tuple of an odd number of weights, the middle one of the place itself.
    """
    radius = len(weights) // 2
    offsets = np.arange(length)[None] - np.arange(length)[:, None] + radius
    padded = np.concatenate([weights, [0.0]])
    outside = (offsets < 0) | (offsets >= len(weights))
    return padded[np.where(outside, -1, offsets)].astype("float32")


def window_sum(maps, weights):
    """Returns sums over square windows, (batch, height, width), the same shape.

    Args:
        maps: float32 tensor (batch, height, width).
        weights: Weights of a line of the window, which are multiplied with those of
            the other direction.
    """
    rows = ops.convert_to_tensor(window_matrix(maps.shape[1], weights))
    columns = ops.convert_to_tensor(window_matrix(maps.shape[2], weights).T)
    return ops.matmul(rows, ops.matmul(maps, columns))


def structural_dissimilarity(images, others):
    """1 - SSIM of images in 0-1, the mean over pixels and colours, (batch,).

    Windows of 11x11 pixels weighted by a Gaussian of deviation 1.5; outside of the
    image are zeros, as in the published implementation. Source: Wang et al., "Image
    quality assessment", 2004, with K₁ = 0.01 and K₂ = 0.03.

    Args:
        images: float32 tensor (batch, height, width, channels).
        others: The same of what they are compared with.
    """
    line = np.exp(-0.5 * ((np.arange(WINDOW) - WINDOW // 2) / _SIGMA) ** 2)
    weights = tuple(line / line.sum())
    height, width, channels = images.shape[1:]

    def mean(values):
        flat = ops.reshape(ops.transpose(values, (0, 3, 1, 2)), (-1, height, width))
        return window_sum(flat, weights)

    first, second = mean(images), mean(others)
    product, squares = first * second, first * first + second * second
    covariance = mean(images * others) - product
    variances = mean(images * images + others * others) - squares
    similarity = (2.0 * product + 1e-4) * (2.0 * covariance + 9e-4)
    similarity = similarity / ((squares + 1e-4) * (variances + 9e-4))
    by_image = ops.reshape(similarity, (-1, channels * height * width))
    return 1.0 - ops.mean(by_image, axis=1)


def focal_loss(logits, mask, gamma=2.0):
    """Mean over pixels of -(1 - p)^γ · log p, p of the right one of two classes.

    Source: Lin et al., "Focal loss for dense object detection", 2017.

    Args:
        logits: float32 tensor (batch, height, width, 2), normal and anomalous.
        mask: float32 tensor (batch, height, width), 1 where anomalous.
        gamma: By how much pixels that are right count less.

    Returns:
        float32 tensor (batch,).
    """
    # The right class's logit over the other one's.
    margin = (2.0 * mask - 1.0) * (logits[..., 1] - logits[..., 0])
    log_p = -ops.softplus(-margin)
    wrong = ops.sigmoid(-margin)
    return -ops.mean(wrong**gamma * log_p, axis=(1, 2))
