"""A pass of a backbone: by Keras' convolutions, and by those of this package.

    KERAS_BACKEND=jax python -m benchmarks.backbones [--backbone efficientnet_lite2]
        [--image-size 256] [--batch 8] [--repeat 5]

One network, first with Keras' layers and then with `use_quick_convolutions`; B0 to B7
have random weights. Printed are the least seconds of the processor's time, which other
jobs disturb less than the clock, the ratio, and how far the maps lie apart. Call it
with OMP_NUM_THREADS=1 and XLA_FLAGS=--xla_cpu_multi_thread_eigen=false for one thread.
"""

import argparse
import time

import keras
import numpy as np

from keras_rlr.backbones import create_backbone
from keras_rlr.backbones.quick_convolution import use_quick_convolutions


def least_seconds(model, images, repeat):
    """The least of the processor's seconds for a batch, and the maps."""
    maps = model.predict_on_batch(images)
    seconds = []
    for _ in range(repeat):
        began = time.process_time()
        model.predict_on_batch(images)
        seconds.append(time.process_time() - began)
    return min(seconds), maps


def main():
    """Runs what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", default="efficientnet_lite2")
    parser.add_argument("--image-size", type=int, default=256)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--repeat", type=int, default=5)
    chosen = parser.parse_args()
    weights = "imagenet" if "lite" in chosen.backbone else None
    model = create_backbone(
        chosen.backbone,
        levels=(1, 2, 3),
        image_size=chosen.image_size,
        weights=weights,
    ).model
    shape = (chosen.batch, chosen.image_size, chosen.image_size, 3)
    images = np.random.default_rng(0).normal(size=shape).astype("float32")
    before, expected = least_seconds(model, images, chosen.repeat)
    use_quick_convolutions(model)
    model.compile()  # Drops the function that was traced.
    after, found = least_seconds(model, images, chosen.repeat)
    apart = max(
        float(np.abs(a - b).max() / np.abs(a).max())
        for a, b in zip(expected, found, strict=True)
    )
    print(
        f"{keras.backend.backend()}, {chosen.backbone}, {chosen.batch} images: "
        f"{before:.3f} s by Keras, {after:.3f} s by ours, {before / after:.2f} times "
        f"as fast; maps differ by {apart:.1e} of their largest value"
    )


if __name__ == "__main__":
    main()
