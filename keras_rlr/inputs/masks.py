"""Masks of defects, resized the way they are compared with anomaly maps."""

import numpy as np

from keras_rlr.inputs.images import to_array


def to_square_mask(mask, size):
    """Resizes a mask by nearest neighbour at pixel centres.

    A smooth resize would need a cut-off of its own and move the borders.

    Args:
        mask: Array (height, width) or (height, width, 1), above 0 where anomalous.
        size: Side of the result.

    Returns:
        Boolean array (size, size).

    Raises:
        ValueError: If the shape is another.
    """
    mask = to_array(mask)
    if mask.ndim == 3 and mask.shape[-1] == 1:
        mask = mask[..., 0]
    if mask.ndim != 2 or 0 in mask.shape:
        raise ValueError(
            "A mask must be (height, width), or (height, width, 1). Received shape "
            f"{mask.shape}."
        )
    # Integers: (i + 1/2) · source / size, rounded down, without a rounding error.
    rows, columns = (
        (2 * np.arange(size) + 1) * side // (2 * size) for side in mask.shape
    )
    return mask[np.ix_(rows, columns)] > 0
