"""Arrays of any usual kind to float32 RGB in 0-255, or a sentence why not."""

import numpy as np

from keras_rlr.inputs.pillow_images import given_to_array, is_pillow
from keras_rlr.inputs.resize import resize_images
from keras_rlr.inputs.resized_image import ResizedImage
from keras_rlr.inputs.value_ranges import is_float

BIT_DEPTHS = range(9, 17)


def to_array(value):
    """Returns a NumPy array of a NumPy, TensorFlow, JAX or PyTorch array.

    What is a `ResizedImage` already stays one.

    Raises:
        ValueError: If it is a masked array of NumPy with masked values: what is below a
            mask is anything.
    """
    if isinstance(value, ResizedImage):
        return value
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        raise ValueError(
            f"Received a masked array with {np.ma.count_masked(value)} masked values "
            f"of {np.size(value)}. Say what they are, as by array.filled(0)."
        )
    if hasattr(value, "detach"):
        value = value.detach().cpu()
    if hasattr(value, "numpy"):
        value = value.numpy()
    return np.asarray(value)


def to_image(value):
    """Returns the array of an image: `to_array`, and of Pillow's as files are read.

    Raises:
        ValueError: If an image of Pillow can't be read.
    """
    return given_to_array(value) if is_pillow(value) else to_array(value)


def check_bits(bit_depth):
    """Returns a bit depth as an int, or None.

    Raises:
        ValueError: If it is none.
    """
    if bit_depth is None:
        return None
    if bit_depth not in BIT_DEPTHS:
        raise ValueError(
            "`bit_depth` must be a whole number from 9 to 16, the bits that a value of "
            f"uint16 images has, or None for 16. Received: {bit_depth!r}."
        )
    return int(bit_depth)


def to_rgb(images, where, bit_depth=None):
    """Converts images to float32 RGB in 0-255.

    Args:
        images: Array (..., height, width) or (..., height, width, channels) whose
            last axis tells grey (1), grey with alpha (2), RGB (3) or RGBA (4).
        where: Words for messages: which images these are.
        bit_depth: Bits that a value of uint16 images has; None is 16.

    Returns:
        float32 array (..., height, width, 3). Grey is replicated, alpha dropped,
        uint16 times 255 / (2^bit_depth - 1): for 16 bits, divided by 257.

    Raises:
        ValueError: If the channels or dtype are none of these, an axis is empty, or
            a pixel is not finite.
    """
    check_pixels(images, where)
    return in_rgb(images, lambda colours: colours.astype("float32"), bit_depth)


def to_resized_rgb(images, size, where, bit_depth=None):
    """`to_rgb`, then `resize_images` to `size`, without the large float32 images."""
    check_pixels(images, where)
    return in_rgb(images, lambda colours: resize_images(colours, size), bit_depth)


def in_rgb(images, resize, bit_depth=None):
    """Returns float32 RGB in 0-255 of images that were checked, resized on the way.

    Args:
        images: See `to_rgb`.
        resize: Function of their colours that returns float32 pixels of some size.
        bit_depth: See `to_rgb`.
    """
    colours = images[..., :3] if images.shape[-1] > 2 else images[..., :1]
    pixels = resize(colours)
    if images.dtype == np.uint16:
        # Pillow's `convert("RGB")` saturates 16-bit images.
        if bit_depth is not None:
            pixels *= np.float32(255)
        pixels /= np.float32(257 if bit_depth is None else 2**bit_depth - 1)
    return np.repeat(pixels, 3, axis=-1) if pixels.shape[-1] == 1 else pixels


def check_pixels(images, where):
    """Refuses what `to_rgb` does."""
    if images.ndim < 3 or images.shape[-1] not in (1, 2, 3, 4):
        raise ValueError(
            f"Images must be (height, width, channels) with 1, 2, 3 or 4 channels "
            f"last. Received {where} of shape {images.shape}. Move the channels to "
            "the last axis, or add one to grey images (image[..., None])."
        )
    if 0 in images.shape:
        raise ValueError(f"Received {where} of shape {images.shape}: it has no pixels.")
    if not (images.dtype.kind in "iu" or is_float(images)):
        raise ValueError(
            f"Images must be uint8, uint16 or float in 0-255. Received {where} of "
            f"dtype {images.dtype}."
        )
    if not is_float(images):
        return
    # The sum of finite numbers may overflow; their extremes can't.
    with np.errstate(over="ignore", invalid="ignore"):
        extremes = np.array([images.min(), images.max()]).astype("float32")
    if not np.isfinite(extremes).all():
        raise ValueError(
            f"Received {where} with pixels that are NaN or infinite. Images must be "
            "finite, in 0-255: look at how they were decoded or divided."
        )
