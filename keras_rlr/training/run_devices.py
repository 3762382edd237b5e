"""The devices that a run goes on with, which may be on another machine."""

import warnings
from pathlib import Path

from keras_rlr import processes
from keras_rlr.detectors.distribution import count_devices


def devices_of_run(wanted: int | None, run: str | Path) -> int | None:
    """The number of devices for the model of a run that was begun before.

    Args:
        wanted: How many it was begun with, or None.
        run: Its folder, for messages.

    Returns:
        As many, or those that there are, which is announced. None for what processes
        have together, and where nothing was wanted.
    """
    if wanted is None or processes.count() > 1:
        return None
    there = count_devices()
    if wanted <= there:
        return wanted
    warnings.warn(
        f"The run in '{run}' was begun on {wanted} devices, and {there} can be used "
        "here: it goes on with that. Its batches stay what they are, and the last "
        "digits of its losses may be others.",
        stacklevel=3,
    )
    return there
