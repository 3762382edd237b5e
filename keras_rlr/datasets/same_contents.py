import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from keras_rlr.datasets.sample import Sample


def same_contents(
    trained: Iterable[Sample], tested: Iterable[Sample]
) -> list[tuple[Sample, Sample]]:
    """Finds test images whose files are copies of files that are trained on.

    Byte for byte: the same picture in another format is not found. Two names of one
    file are no copies; layouts refuse them.

    Args:
        trained: the images that are trained on.
        tested: the images that are tested on.

    Returns:
        Pairs of a test image and the training image that it is a copy of, in the order
        of the test images.
    """
    tested = list(tested)
    sizes = {size for sample in tested if (size := _size(sample.image)) is not None}
    # Most files differ in size from all others, and need not be read.
    candidates = [sample for sample in trained if _size(sample.image) in sizes]
    sizes &= {_size(sample.image) for sample in candidates}
    originals: dict[bytes, Sample] = {}
    for sample in candidates:
        if (digest := _digest(sample.image)) is not None:
            originals.setdefault(digest, sample)
    found = []
    for sample in tested:
        digest = _digest(sample.image) if _size(sample.image) in sizes else None
        original = originals.get(digest) if digest is not None else None
        if original is not None and not _is_one_file(sample.image, original.image):
            found.append((sample, original))
    return found


def _is_one_file(one: Path, other: Path) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)


def _size(path: Path) -> int | None:
    """Its bytes; None of what can't be read, which is found elsewhere."""
    try:
        return path.stat().st_size
    except OSError:
        return None


def _digest(path: Path) -> bytes | None:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError:
        return None
