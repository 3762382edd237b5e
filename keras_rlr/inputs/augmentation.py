"""What augmentation makes of an image: it turned by quarters, and mirrored."""

from typing import Any

import numpy as np

from keras_rlr.image_size import ImageSize, height_and_width

AUGMENTATIONS = ("flip", "rotate")
# Quarter turns, and whether it is mirrored, left to right, after them.
Variant = tuple[int, bool]
AS_IT_IS: Variant = (0, False)


def resolve_augmentation(augmentation: Any, image_size: ImageSize) -> tuple[str, ...]:
    """Returns the names in `augmentation` as a tuple, in the order of `AUGMENTATIONS`.

    Args:
        augmentation: A name, or several.
        image_size: Side of the images, or (height, width).

    Raises:
        ValueError: If one is unknown, or images can't be turned as they are no squares.
    """
    names = (augmentation,) if isinstance(augmentation, str) else augmentation
    is_list = isinstance(names, list | tuple | set)
    if not is_list or not all(name in AUGMENTATIONS for name in names):
        raise ValueError(
            f"`augmentation` takes any of {', '.join(map(repr, AUGMENTATIONS))}. "
            f"Received: {augmentation!r}."
        )
    height, width = height_and_width(image_size)
    if "rotate" in names and height != width:
        raise ValueError(
            f"augmentation='rotate' turns images by quarters, and those of {height}x"
            f"{width} pixels would not fit. Use image_size={max(height, width)}, or "
            "augmentation='flip', which turns by halves too."
        )
    return tuple(name for name in AUGMENTATIONS if name in names)


def variants_of(augmentation: tuple[str, ...]) -> list[Variant]:
    """Returns what an image may become; it as it is comes first.

    Args:
        augmentation: What `resolve_augmentation` returned.
    """
    if "rotate" not in augmentation:
        # Mirrored up to down is turned by two quarters and mirrored left to right.
        return [AS_IT_IS, (0, True), (2, True)] if augmentation else [AS_IT_IS]
    mirrored = (False, True) if "flip" in augmentation else (False,)
    return [(turns, mirror) for turns in range(4) for mirror in mirrored]


def vary(images: np.ndarray, variant: Variant) -> np.ndarray:
    """Returns a variant of an image, or of several.

    Args:
        images: Array (…, height, width, channels).
        variant: One of `variants_of`.
    """
    turns, is_mirrored = variant
    images = np.rot90(images, turns, axes=(-3, -2))
    return images[..., ::-1, :] if is_mirrored else images


def variant_key(key: str, variant: Variant) -> str:
    """Returns what a variant of an image is known by in a feature cache.

    Args:
        key: What the image is known by.
        variant: One of `variants_of`.
    """
    turns, is_mirrored = variant
    return key if variant == AS_IT_IS else f"{key}-{turns}{'m' * is_mirrored}"
