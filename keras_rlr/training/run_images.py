"""Which images a run was trained on and which it held out, by their content."""

import csv
import hashlib
import io
from collections.abc import Sequence
from pathlib import Path

from keras_rlr.atomic_file import write_text
from keras_rlr.datasets import FolderDataset
from keras_rlr.inputs.read_ahead import read_ahead

TRAINING, CALIBRATION = "training", "calibration"
_COLUMNS = ("use", "sha256", "path")


def content_hashes(files: Sequence[Path]) -> list[str]:
    """Returns the hexadecimal SHA-256 of each file's bytes, in order."""
    return list(read_ahead(_sha256, files))


def write_run_images(
    path: str | Path, fitted: FolderDataset, held: FolderDataset
) -> None:
    """Writes the record of a run's images, `images.csv`.

    A data set that is moved, grows or gets other times of change can still be told from
    the images that the model was trained on.

    Args:
        path: The file.
        fitted: `FolderDataset` of the images to train on.
        held: `FolderDataset` of the images to calibrate on.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for use, dataset in ((TRAINING, fitted), (CALIBRATION, held)):
        hashes = content_hashes([sample.image for sample in dataset.samples])
        for sample, digest in zip(dataset.samples, hashes, strict=True):
            writer.writerow((use, digest, sample.path))
    write_text(path, text.getvalue())


def read_run_images(path: str | Path) -> dict[str, set[str]]:
    """Returns the record of a run's images: a dict of use to a set of SHA-256.

    Raises:
        ValueError: If the file is no such record.
    """
    hashes: dict[str, set[str]] = {TRAINING: set(), CALIBRATION: set()}
    with Path(path).open(encoding="utf-8", errors="replace", newline="") as file:
        for row in csv.DictReader(file):
            if row.get("use") not in hashes or not row.get("sha256"):
                raise ValueError(
                    f"'{path}' is not the record of a run's images: it must have the "
                    f"columns {', '.join(_COLUMNS)}. Restore it, or remove it to do "
                    "without."
                )
            hashes[row["use"]].add(row["sha256"])
    return hashes


def _sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
