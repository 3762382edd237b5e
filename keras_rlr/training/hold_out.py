import math
from typing import Any

import numpy as np

from keras_rlr.datasets import FolderDataset


def hold_out(
    dataset: Any, fraction: float, seed: int | None
) -> tuple[FolderDataset, FolderDataset]:
    """Splits normal images into those to train on and those to calibrate on.

    Every category gives its share, rounded, and at least one image (none if it has
    only one), so that the threshold speaks for all of them.

    Args:
        dataset: A `FolderDataset` of the split "train".
        fraction: Share of the images to hold out, at least 0 and below 1; 0 for none.
        seed: Which images are drawn depends on it alone.

    Returns:
        Two data sets, to train on and to calibrate on; the latter may be empty.

    Raises:
        ValueError: If the fraction is out of range.

    Example:

    ```python
    from keras_rlr.datasets import FolderDataset
    from keras_rlr.training.hold_out import hold_out

    train, calibration = hold_out(FolderDataset("visa"), fraction=0.1, seed=0)
    ```
    """
    if not 0 <= fraction < 1:
        raise ValueError(
            "The calibration fraction must be at least 0 and below 1. Received: "
            f"{fraction!r}."
        )
    generator = np.random.Generator(np.random.Philox(seed))
    held = set()
    categories = [sample.category for sample in dataset.samples]
    for category in dataset.categories:
        members = [i for i, name in enumerate(categories) if name == category]
        count = math.floor(len(members) * fraction + 0.5)
        if fraction > 0:
            count = min(max(count, 1), len(members) - 1)
        held.update(generator.permutation(members)[:count].tolist())
    kept = [i for i in range(len(dataset)) if i not in held]
    return dataset.subset(kept), dataset.subset(sorted(held))


def hold_out_as(
    dataset: Any, settings: dict[str, Any]
) -> tuple[FolderDataset, FolderDataset]:
    """Splits normal images as a run of some settings does.

    Args:
        dataset: A `FolderDataset` of the split "train".
        settings: The run's; what earlier versions did not note has its default.
    """
    return hold_out(
        dataset, settings.get("calibration_fraction", 0.1), settings.get("seed", 0)
    )
