import math
from typing import Any

_MOST_BYTES = 2 * 2**30


def default_feature_cache(model: Any, image_count: int) -> str | None:
    """`"memory"` where the features of all images take at most 2 GiB, else None.

    Args:
        model: An `RLR` model.
        image_count: Number of images.
    """
    shapes = model.feature_extractor.feature_shapes
    float16_bytes = 2 * sum(math.prod(shape) for shape in shapes)
    return "memory" if image_count * float16_bytes <= _MOST_BYTES else None
