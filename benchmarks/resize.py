"""Resizing on the host, beside dense matrix products and Pillow.

    python -m benchmarks.resize [--size 256] [--repeat 7]

Prints, of several sizes of uint8 RGB images, the milliseconds that one takes: by this
package, by products with dense weights (what this package did before), and by Pillow,
channel by channel in float32; the largest difference from the dense product; and
images a second of a batch of eight, which are resized on several threads.
"""

import argparse
import statistics
import time

import numpy as np
from PIL import Image

SIZES = ((256, 320), (512, 512), (700, 900), (1024, 1024), (1000, 1500), (6000, 6000))


def dense(image, size):
    """Rows, then columns, each by a product with all weights."""
    from keras_rlr.inputs.resize import resize_weights

    height, width, channels = image.shape
    flat = image.astype("float32").reshape(height, -1)
    rows = np.matmul(resize_weights(height, size), flat)
    rows = rows.reshape(size, width, channels)
    return np.matmul(resize_weights(width, size), rows)


def pillow(image, size):
    """Each channel as an image of float32."""
    channels = [
        Image.fromarray(image[..., i].astype("float32")).resize(
            (size, size), Image.Resampling.BILINEAR
        )
        for i in range(3)
    ]
    return np.stack([np.asarray(channel) for channel in channels], -1)


def median_ms(functions, repeat):
    """Median milliseconds of each function, called in turns."""
    spent = [[] for _ in functions]
    for turn in range(repeat + 1):
        for function, seconds in zip(functions, spent, strict=True):
            began = time.perf_counter()
            function()
            if turn:
                seconds.append(time.perf_counter() - began)
    return [1000 * statistics.median(seconds) for seconds in spent]


def main():
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--repeat", type=int, default=7)
    chosen = parser.parse_args()
    from keras_rlr.inputs.host_batches import stack_images
    from keras_rlr.inputs.images import to_resized_rgb
    from keras_rlr.inputs.value_ranges import ValueRanges

    size = chosen.size
    for height, width in SIZES:
        generator = np.random.default_rng(0)
        image = generator.integers(0, 256, (height, width, 3), "uint8")

        def ours(image=image):
            return to_resized_rgb(image, size, "it")

        def batch(image=image):
            elements = [{"image": image} for _ in range(8)]
            stack_images(elements, size, range(8), ValueRanges())

        functions = (
            ours,
            lambda image=image: dense(image, size),
            lambda image=image: pillow(image, size),
            batch,
        )
        of_ours, of_dense, of_pillow, of_batch = median_ms(functions, chosen.repeat)
        difference = np.abs(ours() - dense(image, size)).max()
        print(
            f"{height}x{width}: {of_ours:.1f} ms; dense {of_dense:.1f} "
            f"({of_dense / of_ours:.1f} times), Pillow {of_pillow:.1f} "
            f"({of_pillow / of_ours:.1f} times); differs by {difference:.0e}; "
            f"{8000 / of_batch:.0f} images/s by eight",
            flush=True,
        )


if __name__ == "__main__":
    main()
