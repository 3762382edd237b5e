"""Whether memory stays where it is, over many epochs and many predictions.

    KERAS_BACKEND=torch python -m benchmarks.steady_memory [--epochs 20]
        [--predictions 5000] [--images 48] [--preset NAME]

Trains on random images, each epoch through the whole pass, and then predicts image by
image as a service does. Prints the process's memory on the way; "steady" compares it at
the end with a quarter of the way, and in the second half at its highest. No figure is
of speed, so other things may run beside it.
"""

import argparse
import os
from pathlib import Path


def resident():
    """Memory of this process now, in MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def report(what, memory):
    """Prints how memory grew between a quarter of the way and the end."""
    quarter = memory[len(memory) // 4]
    most = max(memory[len(memory) // 2 :])
    print(
        f"{what}: {memory[0]:.0f} MiB after the first, {quarter:.0f} after a quarter, "
        f"{memory[-1]:.0f} at the end; {memory[-1] / quarter:.3f} times the quarter's, "
        f"{most / quarter:.3f} at most in the second half",
        flush=True,
    )


def main():
    """Runs what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--predictions", type=int, default=5000)
    parser.add_argument("--images", type=int, default=48)
    parser.add_argument("--preset", default="rlr_efficientnet_lite2_one_level")
    chosen = parser.parse_args()

    import keras
    import numpy as np

    from keras_rlr import RLR

    model = RLR.from_preset(chosen.preset, seed=0)
    draw = np.random.default_rng(0)
    shape = (chosen.images, 300, 200, 3)
    images = draw.integers(0, 256, shape, "uint8")
    memory = []
    after = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: memory.append(resident())
    )
    model.fit(images, epochs=chosen.epochs, callbacks=[after], verbose=0)
    print(f"{keras.backend.backend()}, {chosen.preset}")
    report(f"{chosen.epochs} epochs of {chosen.images} images", memory)
    memory = []
    for number in range(chosen.predictions):
        one = images[number % chosen.images][None]
        model.predict(one, verbose=0)
        memory.append(resident())
    report(f"{chosen.predictions} predictions of one image", memory)


if __name__ == "__main__":
    main()
