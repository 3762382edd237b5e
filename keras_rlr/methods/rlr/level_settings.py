"""What each level of a model looks like, from what the user gave or left out."""

import numpy as np

from keras_rlr.image_size import checked_image_size, image_size_in_words
from keras_rlr.layers.neighborhood import validate_window, window_hides_grid

# By level, as the authors' implementation has them for strides 4, 8 and 16.
_HIDDEN_DIMS = {1: 128, 2: 256, 3: 512}
_WINDOWS = {1: 11, 2: 7, 3: 5}
# Of a vision transformer, whose grid is about that of level 2.
_BLOCK_HIDDEN_DIM = 384
_BLOCK_WINDOW = 7


def resolve_hidden_dims(hidden_dims, levels, has_blocks=False):
    """Returns one width a level; the paper's for those left out.

    Args:
        hidden_dims: One number a level, or None.
        levels: The levels.
        has_blocks: Whether they are blocks of a vision transformer.
    """
    if hidden_dims is None:
        if has_blocks:
            return (_BLOCK_HIDDEN_DIM,) * len(levels)
        return tuple(_HIDDEN_DIMS.get(level, 512) for level in levels)
    return _one_each("hidden_dims", hidden_dims, levels)


def resolve_windows(windows, levels, has_blocks=False):
    """Returns one window a level; the paper's for those left out.

    Args:
        windows: One number a level, or None.
        levels: The levels.
        has_blocks: Whether they are blocks of a vision transformer.
    """
    if windows is None:
        if has_blocks:
            return (_BLOCK_WINDOW,) * len(levels)
        return tuple(_WINDOWS.get(level, 5) for level in levels)
    return tuple(validate_window(w) for w in _one_each("windows", windows, levels))


def _one_each(name, values, levels):
    if not np.issubdtype(np.atleast_1d(values).dtype, np.number):
        raise ValueError(f"`{name}` takes whole numbers. Received: {values!r}.")
    values = tuple(np.atleast_1d(values).tolist())
    if len(values) != len(levels):
        raise ValueError(
            f"`{name}` needs one value for each of the levels {tuple(levels)}. "
            f"Received {len(values)}: {values}."
        )
    return values


def check_grids(feature_shapes, levels, windows, image_shape):
    """Refuses a hidden window that covers the whole grid of a level.

    Raises:
        ValueError: Naming the level and the smallest image size that works.
    """
    smallest, strides = [], []
    hidden = []
    for (height, width, _), level, window in zip(
        feature_shapes, levels, windows, strict=True
    ):
        stride = image_shape[0] // height
        smallest.append((window + 1) * stride)
        strides.append(stride)
        if window_hides_grid(height, width, window):
            hidden.append((level, height, width, window))
    if hidden:
        coarsest = max(strides)
        works = -(-max(smallest) // coarsest) * coarsest
        level, height, width, window = hidden[0]
        pixels = image_size_in_words(checked_image_size(image_shape))
        raise ValueError(
            f"At level {level} a window of {window}x{window} tokens hides the whole "
            f"{height}x{width} grid of a {pixels}-pixel image, so MLKA has nothing "
            "left to attend to. The smallest image size that works with these windows "
            f"is image_size={works}; or give smaller `windows`."
        )


def resolve_similar_images(count, share):
    """Returns `similar_images` as an integer, and two shares: map's and score's.

    Args:
        count: Number of images.
        share: A number, or two.

    Raises:
        ValueError: If the count is negative, more than are kept or no whole number, or
            a share is not from 0 to 1.
    """
    if isinstance(count, bool) or count != int(count) or not 0 <= count <= 512:
        raise ValueError(
            "`similar_images` is a number of training images to compare with, from 0 "
            f"(none) to 512. Received: {count!r}."
        )
    given = np.ravel(np.asarray(share))
    is_number = given.dtype.kind in "iuf" and len(given) in (1, 2)
    if not (is_number and np.all((given >= 0) & (given <= 1))):
        raise ValueError(
            "`similar_share` is a number from 0 to 1, or two: of the anomaly map and "
            f"of the score. Received: {share!r}."
        )
    return int(count), (float(given[0]), float(given[-1]))
