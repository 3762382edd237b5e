"""An epoch from a feature cache, beside one on features in memory, and one of images.

    KERAS_BACKEND=tensorflow python -m benchmarks.feature_cache [--images 128]

EfficientNet-Lite2 at level 3, D 256, float32, batches of 8, random images. Prints the
least seconds of some epochs of each kind, taken in turns, and ratios: on images, where
the backbone runs in every step; from a cache in a folder; and the same compiled steps
on batches that lie in memory ready-made, with no more than a Python loop around them.
"""

import argparse
import os
import tempfile
import time

import numpy as np


def main():
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=128)
    parser.add_argument("--repeat", type=int, default=3)
    chosen = parser.parse_args()
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    import keras

    import keras_rlr
    from keras_rlr.inputs.image_source import ImageSource

    shape = (chosen.images, 256, 256, 3)
    images = np.random.default_rng(0).integers(0, 256, shape, "uint8")
    model = keras_rlr.RLR(
        backbone="efficientnet_lite2", levels=(3,), hidden_dims=(256,), seed=0
    )
    with tempfile.TemporaryDirectory() as folder:
        cache = keras_rlr.FeatureCache(folder)
        began = time.perf_counter()
        model.fit(images, epochs=1, batch_size=8, feature_cache=cache, verbose=0)
        print(f"filling the cache, with its first epoch: {_since(began):.1f} s")
        batches = cache.batches(model, ImageSource(images, 8), seed=0)
        ready = [batch for (batch,) in batches.generate()]

        def from_memory():
            for batch in ready:
                keras.Model.train_on_batch(model, batch)

        def from_cache():
            model.fit(images, epochs=1, batch_size=8, feature_cache=cache, verbose=0)

        def from_images():
            model.fit(images, epochs=1, batch_size=8, verbose=0)

        # Of one epoch the fit's own preparations would be a part: two less one.
        def longer():
            model.fit(images, epochs=3, batch_size=8, feature_cache=cache, verbose=0)

        runs = (from_memory, from_cache, longer, from_images)
        seconds = {run: [] for run in runs}
        for turn in range(chosen.repeat + 1):
            for run in runs:
                began = time.perf_counter()
                run()
                if turn:
                    seconds[run].append(_since(began))
    memory, cached, three, plain = (min(seconds[run]) for run in runs)
    epoch = (three - cached) / 2
    name = keras.backend.backend()
    print(f"{name}: {chosen.images} images, seconds an epoch")
    print(f"  steps on features in memory     {memory:.3f}")
    print(f"  from the cache                  {epoch:.3f}, {epoch / memory:.2f} times")
    print(f"  from the cache, a fit of one    {cached:.3f} (reads the data once)")
    print(f"  on images                       {plain:.3f}, {plain / epoch:.2f} times")


def _since(began):
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
