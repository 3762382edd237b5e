"""The record of a run's images, `images.csv`: which was for what, by content."""

import csv
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from keras_rlr.atomic_file import write_text
from keras_rlr.datasets import FolderDataset
from keras_rlr.datasets.joined_dataset import JoinedDataset
from keras_rlr.inputs.read_ahead import read_ahead
from keras_rlr.tables.table_text import table_text

TRAINING, CALIBRATION = "training", "calibration"
_IMAGE_COLUMNS = ("use", "sha256", "path")  # and "category", which older ones lack


def content_hashes(files: Sequence[Path]) -> list[str]:
    """Returns the hexadecimal SHA-256 of each file's bytes, in order."""
    return list(read_ahead(_sha256, files))


def write_run_images(
    path: str | Path,
    fitted: FolderDataset | JoinedDataset,
    held: FolderDataset | JoinedDataset,
) -> None:
    """Writes the record of a run's images, `images.csv`.

    A data set that is moved, grows or gets other times of change can still be told from
    the images that the model was trained on.

    Args:
        path: The file.
        fitted: Data set of the images to train on.
        held: Data set of the images to calibrate on.
    """
    rows = _rows_of(fitted, held)
    write_text(path, table_text([(*_IMAGE_COLUMNS, "category"), *rows]))


def describe_images(
    fitted: FolderDataset | JoinedDataset, held: FolderDataset | JoinedDataset
) -> dict[str, Any]:
    """What `config.json` says of a run's images, beside where they are.

    Args:
        fitted: Data set of the images to train on.
        held: Data set of the images to calibrate on.
    """
    return {
        "training_images": len(fitted),
        "training_fingerprint": fitted.fingerprint(),
        "calibration_images": len(held),
        "calibration_fingerprint": held.fingerprint(),
    }


def holds_images(
    path: str | Path,
    fitted: FolderDataset | JoinedDataset,
    held: FolderDataset | JoinedDataset,
) -> bool:
    """Whether a record of a run's images is of these, by their contents and names.

    Args:
        path: The file; there may be none.
        fitted: Data set of the images to train on.
        held: Data set of the images to calibrate on.
    """
    if not Path(path).is_file():
        return False
    with Path(path).open(encoding="utf-8", errors="replace", newline="") as file:
        try:
            recorded = [row[: len(_IMAGE_COLUMNS)] for row in csv.reader(file)]
        except csv.Error:  # A cell too long for Python's reader.
            return False
    rows = [list(row[: len(_IMAGE_COLUMNS)]) for row in _rows_of(fitted, held)]
    return recorded == [list(_IMAGE_COLUMNS), *rows]


def _rows_of(fitted, held):
    rows = []
    for use, dataset in ((TRAINING, fitted), (CALIBRATION, held)):
        hashes = content_hashes([sample.image for sample in dataset.samples])
        for sample, digest in zip(dataset.samples, hashes, strict=True):
            rows.append((use, digest, str(sample.path), sample.category))
    return rows


def read_run_images(path: str | Path) -> dict[str, set[str]]:
    """Returns the record of a run's images: a dict of use to a set of SHA-256.

    Raises:
        ValueError: If the file is no such record.
    """
    hashes: dict[str, set[str]] = {TRAINING: set(), CALIBRATION: set()}
    with Path(path).open(encoding="utf-8", errors="replace", newline="") as file:
        try:
            rows = [(row["use"], row["sha256"]) for row in csv.DictReader(file)]
        # A column may be missing, and a cell too long for Python's reader.
        except (KeyError, csv.Error):
            rows = [("", "")]
    for use, digest in rows:
        if use not in hashes or not digest:
            raise ValueError(
                f"'{path}' is not the record of a run's images: it must have the "
                f"columns {', '.join(_IMAGE_COLUMNS)}. Restore it, or remove it to "
                "do without."
            )
        hashes[use].add(digest)
    return hashes


def _sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
