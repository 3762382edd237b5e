"""The thresholds that a training ends with, from the images that were held out."""

import collections
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

# In `config.json`: what few images may not have allowed.
ASKED = "asked_false_positive_rate"
FALSE_POSITIVE_RATE = 0.01
# What products look like is taken from so many training images of each, and in all.
_MOST_SHOWN_EACH, _MOST_SHOWN = 32, 256


def calibrate_held_out(
    model: Any, held: Any, fitted: Any, rate: float = FALSE_POSITIVE_RATE
) -> dict[str, Any]:
    """Sets a model's thresholds.

    Args:
        model: The trained detector.
        held: `FolderDataset` or `JoinedDataset` of the images held out.
        fitted: The same of the images that it was trained on.
        rate: Share of new normal images that may be called anomalous. If the images
            are too few for it, it is the smallest that they allow, with a warning.

    Returns:
        What `config.json` says of the calibration.
    """
    asked = rate
    smallest = 1 / (len(held) + 1)
    if smallest > rate:
        warnings.warn(
            f"{len(held)} images were held out for calibration, too few for a "
            f"false-positive rate of {rate:g}: the threshold is set "
            f"for the smallest that they allow, {smallest:.3g}.",
            stacklevel=3,
        )
        rate = smallest
    with warnings.catch_warnings():
        # Which categories have thresholds of their own is in the configuration.
        warnings.filterwarnings("ignore", ".*for a threshold of its own")
        model.calibrate(
            held,
            false_positive_rate=rate,
            training_images=fitted.subset(
                some_of_each([sample.category for sample in fitted.samples])
            ),
        )
    return {
        "images": len(held),
        "false_positive_rate": rate,
        ASKED: asked,
        **thresholds_of(model),
    }


def thresholds_of(model: Any) -> dict[str, Any]:
    """What `config.json` says of a model's thresholds.

    Args:
        model: The calibrated detector.
    """
    return {
        "threshold": model.threshold,
        "category_thresholds": model.thresholds.by_category,
        "pixel_threshold": model.pixel_threshold,
        "category_pixel_thresholds": dict(model.thresholds.pixels.by_category),
    }


def some_of_each(categories: Sequence[Any]) -> list[int]:
    """Chooses images of every category, evenly, to show what it looks like.

    Args:
        categories: The category of each image.

    Returns:
        Positions of the chosen images, ascending.
    """
    members = collections.defaultdict(list)
    for i, category in enumerate(categories):
        members[category].append(i)
    most = max(min(_MOST_SHOWN_EACH, _MOST_SHOWN // max(len(members), 1)), 2)
    chosen: list[int] = []
    for positions in members.values():
        count = min(most, len(positions))
        places = np.linspace(0, len(positions) - 1, count).astype(int)
        chosen += [positions[place] for place in places]
    return sorted(chosen)
