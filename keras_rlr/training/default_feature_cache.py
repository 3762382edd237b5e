import contextlib
import math
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from keras_rlr.detectors.feature_cache import FeatureCache
from keras_rlr.inputs.augmentation import variants_of
from keras_rlr.processes import is_writer, told, wait

_MOST_BYTES_IN_MEMORY = 2 * 2**30
# Checkpoints and all else that is written need room as well.
_BYTES_TO_LEAVE_FREE = 2**30


@contextlib.contextmanager
def default_feature_cache(
    model: Any, image_count: int, folder: Any = None, augmentation: Any = ()
) -> Iterator[Any]:
    """The cache of a training that was given none: in memory, or in a folder for now.

    Where the features of all images take more than 2 GiB, they are in a folder until
    the block ends, which is announced. It stays if a signal ends the training, for the
    one that resumes it. Without room on the disk there is none, which is announced too.

    Args:
        model: An `RLR` model.
        image_count: Number of images.
        folder: The folder; None for one among the system's temporary ones.
        augmentation: That of the training: the names in it.

    Yields:
        A `FeatureCache`, or None.
    """
    shapes = model.feature_extractor.feature_shapes
    float16_bytes = 2 * sum(math.prod(shape) for shape in shapes)
    variants = len(variants_of(augmentation))
    needed = image_count * variants * float16_bytes
    if needed <= _MOST_BYTES_IN_MEMORY:
        yield FeatureCache("memory")
        return
    ways = f", each in {variants} ways," if variants > 1 else ""
    words = f"The features of {image_count} images{ways} take {_gib(needed)}"
    with contextlib.ExitStack() as stack:
        if folder is None:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
        folder = Path(folder)
        # With or without a cache, but all processes alike.
        free = told(lambda: _free_bytes(folder))
        begun = told(lambda: any(folder.glob("*/*.npy")))
        if not begun and free < needed + _BYTES_TO_LEAVE_FREE:
            warnings.warn(
                f"{words}, more than is kept in memory (2 GiB), and '{folder}' has no "
                f"room for them ({_gib(free)} free): every epoch reads all images and "
                "runs the backbone anew, which takes longer. Free some space, or name "
                "a folder on another disk with --feature-cache.",
                stacklevel=3,
            )
            yield None
            return
        warnings.warn(
            f"{words}, more than is kept in memory (2 GiB): they are in '{folder}' "
            "until the training is done. --feature-cache DIR keeps them for other "
            "runs.",
            stacklevel=3,
        )
        try:
            yield FeatureCache(folder)
        except KeyboardInterrupt:
            raise
        except BaseException:
            _remove(folder)
            raise
        wait()
        _remove(folder)


def _remove(folder):
    if not is_writer():
        return
    shutil.rmtree(folder, ignore_errors=True)
    # The run's folder, if nothing came of the run.
    with contextlib.suppress(OSError):
        folder.parent.rmdir()


def _free_bytes(folder):
    there = next(place for place in (folder, *folder.parents) if place.exists())
    return shutil.disk_usage(there.resolve()).free


def _gib(size):
    return f"{size / 2**30:.1f} GiB"
