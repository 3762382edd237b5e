"""Arrays of any usual kind to float32 RGB in 0-255, or a sentence why not."""

import numpy as np

from keras_rlr.inputs.resize import resize_images

BIT_DEPTHS = range(9, 17)


def to_array(value):
    """Returns a NumPy array of a NumPy, TensorFlow, JAX or PyTorch array."""
    if hasattr(value, "detach"):
        value = value.detach().cpu()
    if hasattr(value, "numpy"):
        value = value.numpy()
    return np.asarray(value)


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
    if images.ndim < 3 or images.shape[-1] not in (1, 2, 3, 4):
        raise ValueError(
            f"Images must be (height, width, channels) with 1, 2, 3 or 4 channels "
            f"last. Received {where} of shape {images.shape}. Move the channels to "
            "the last axis, or add one to grey images (image[..., None])."
        )
    if 0 in images.shape:
        raise ValueError(f"Received {where} of shape {images.shape}: it has no pixels.")
    if images.dtype == np.uint16:
        # Pillow's `convert("RGB")` saturates 16-bit images.
        rgb = images.astype("float32")
        if bit_depth is not None:
            rgb *= np.float32(255)
        rgb /= np.float32(257 if bit_depth is None else 2**bit_depth - 1)
    elif images.dtype.kind in "iu" or is_float(images):
        rgb = images.astype("float32")
    else:
        raise ValueError(
            f"Images must be uint8, uint16 or float in 0-255. Received {where} of "
            f"dtype {images.dtype}."
        )
    # The sum of finite numbers may overflow; their extremes can't.
    if is_float(images) and not np.isfinite([rgb.min(), rgb.max()]).all():
        raise ValueError(
            f"Received {where} with pixels that are NaN or infinite. Images must be "
            "finite, in 0-255: look at how they were decoded or divided."
        )
    channels = rgb.shape[-1]
    if channels in (1, 2):
        return np.repeat(rgb[..., :1], 3, axis=-1)
    return rgb[..., :3]


def to_square_rgb(images, size, where, bit_depth=None):
    """`to_rgb`, then `resize_images` to `size`."""
    rgb = to_rgb(images, where, bit_depth)
    return np.ascontiguousarray(resize_images(rgb, size), dtype="float32")


def is_float(array):
    """Whether an array is of a float type; NumPy itself knows no bfloat16."""
    return array.dtype.kind == "f" or array.dtype.name == "bfloat16"
