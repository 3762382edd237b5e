"""Attention between token grids, token by token in float64."""

import numpy as np
from keras import ops


def in_window(first, second, width, window):
    """Whether two row-major tokens lie in each other's window."""
    rows = abs(first // width - second // width)
    columns = abs(first % width - second % width)
    return max(rows, columns) <= window // 2


def project(dense, tokens):
    """A dense layer on (tokens, D) in float64."""
    kernel = ops.convert_to_numpy(dense.kernel).astype("float64")
    return tokens @ kernel + ops.convert_to_numpy(dense.bias)


def naive_attention(layer, query, key, value, attends):
    """Returns what `layer` must, as a float64 array (batch, height, width, D).

    Args:
        layer: a built GridAttention.
        query: array (batch, height, width, D).
        key: array of the same shape, or with a batch of one, or K times as wide: with
            K keys of a place side by side.
        value: array of the shape of the query or of the key.
        attends: function (i, j): whether token i attends to what is at place j.
    """
    batch, height, width, dim = query.shape
    tokens = height * width
    size = dim // layer.num_heads
    output = np.zeros((batch, tokens, dim))
    for image in range(batch):
        q, k, v = (
            project(dense, array[image % len(array)].reshape(-1, dim))
            for dense, array in (
                (layer.query_projection, query),
                (layer.key_projection, key),
                (layer.value_projection, value),
            )
        )
        keys = len(k) // tokens
        v = np.repeat(v, len(k) // len(v), axis=0)
        for i in range(tokens):
            seen = [j for j in range(len(k)) if attends(i, j // keys)]
            for head in range(layer.num_heads):
                part = slice(head * size, (head + 1) * size)
                scores = k[seen, part] @ q[i, part] / np.sqrt(size)
                weights = np.exp(scores - scores.max())
                output[image, i, part] = weights / weights.sum() @ v[seen, part]
        output[image] = project(layer.output_projection, output[image])
    return output.reshape(query.shape)
