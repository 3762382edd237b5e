"""Arrays of any usual kind to float32 RGB in 0-255, or a sentence why not."""

import numpy as np

from keras_rlr.inputs.resize import resize_images

# Pillow's `convert("RGB")` saturates 16-bit images; dividing maps 65535 to 255.
_UINT16_TO_UINT8 = 257.0


def to_array(value):
    """Returns a NumPy array of a NumPy, TensorFlow, JAX or PyTorch array."""
    if hasattr(value, "detach"):
        value = value.detach().cpu()
    if hasattr(value, "numpy"):
        value = value.numpy()
    return np.asarray(value)


def to_rgb(images, where):
    """Converts images to float32 RGB in 0-255.

    Args:
        images: Array (..., height, width) or (..., height, width, channels) whose
            last axis tells grey (1), grey with alpha (2), RGB (3) or RGBA (4).
        where: Words for messages: which images these are.

    Returns:
        float32 array (..., height, width, 3). Grey is replicated, alpha dropped,
        uint16 divided by 257.

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
        rgb = images.astype("float32") / np.float32(_UINT16_TO_UINT8)
    elif images.dtype.kind in "iu" or _is_float(images):
        rgb = images.astype("float32")
    else:
        raise ValueError(
            f"Images must be uint8, uint16 or float in 0-255. Received {where} of "
            f"dtype {images.dtype}."
        )
    if _is_float(images) and not np.isfinite(rgb).all():
        raise ValueError(
            f"Received {where} with pixels that are NaN or infinite. Images must be "
            "finite, in 0-255: look at how they were decoded or divided."
        )
    channels = rgb.shape[-1]
    if channels in (1, 2):
        return np.repeat(rgb[..., :1], 3, axis=-1)
    return rgb[..., :3]


def to_square_rgb(images, size, where):
    """`to_rgb`, then `resize_images` to `size`."""
    rgb = to_rgb(images, where)
    return np.ascontiguousarray(resize_images(rgb, size), dtype="float32")


def _is_float(array):
    # NumPy itself knows no bfloat16: its extension has a kind of its own.
    return array.dtype.kind == "f" or array.dtype.name == "bfloat16"


def refuse_unit_range(images):
    """Refuses float images scaled to 0-1, which would pass for nearly black ones.

    Args:
        images: The images of the first batch, arrays as the user gave them.

    Raises:
        ValueError: If all are float and none has a value above 1.
    """
    if all(_is_float(image) for image in images):
        highest = max(float(np.max(image)) for image in images)
        if highest <= 1.0:
            raise ValueError(
                f"The float images of the first batch have a maximum of {highest:.3g}, "
                "so they seem to be scaled to 0-1. The model normalises by itself: "
                "give it uint8 images, or float images in 0-255 (images * 255)."
            )
