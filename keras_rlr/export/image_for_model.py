"""How clients of the formats of one size resize, with Pillow and NumPy alone.

`docs/export.md` and `examples/litert` have this function as it is here, and an export
is compared with its model by it.
"""

import numpy as np
from PIL import Image


def image_for_model(image, height, width):
    """float32 RGB in 0-255, (1, height, width, 3), of an upright image of Pillow."""
    if image.mode.startswith("I"):
        # 16 bits; Pillow's conversion to RGB would make most of them white.
        channels = [Image.fromarray(np.asarray(image, "float32") / 257)] * 3
    else:
        channels = [channel.convert("F") for channel in image.convert("RGB").split()]
    # In 8 bits Pillow rounds every pixel twice.
    resized = [c.resize((width, height), Image.Resampling.BILINEAR) for c in channels]
    return np.stack([np.asarray(channel) for channel in resized], -1)[None]
