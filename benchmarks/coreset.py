"""Seconds and memory of choosing a memory bank: `python -m benchmarks.coreset`.

    python -m benchmarks.coreset [PATCHES [CHANNELS [SHARE]]]

Patches are drawn around random centres, as those of real images lie in groups. Memory
is what NumPy held at most beside the patches.
"""

import sys
import time
import tracemalloc

import numpy as np

from keras_rlr.detectors.greedy_coreset import greedy_coreset


def main(patches=200_000, channels=168, share=0.01):
    """Prints one line.

    Args:
        patches: Number of patches to choose from.
        channels: Channels of each.
        share: Share of them that is chosen.
    """
    generator = np.random.default_rng(0)
    centres = generator.normal(size=(500, channels)).astype("float32")
    rows = centres[generator.integers(0, len(centres), patches)]
    rows += generator.normal(0, 0.5, rows.shape).astype("float32")
    tracemalloc.start()
    began = time.monotonic()
    greedy_coreset(rows, int(share * patches))
    print(
        f"{patches} patches of {channels} channels ({rows.nbytes / 2**20:.0f} MiB), "
        f"{share:.0%} chosen: {time.monotonic() - began:.1f} s, "
        f"{tracemalloc.get_traced_memory()[1] / 2**20:.0f} MiB more at most"
    )


if __name__ == "__main__":
    kinds = (int, int, float)
    main(*(kind(text) for kind, text in zip(kinds, sys.argv[1:], strict=False)))
