"""The images that a finished run was trained on, found again."""

import csv
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_rlr.datasets import FolderDataset
from keras_rlr.datasets.joined_dataset import JoinedDataset
from keras_rlr.training.hold_out import hold_out
from keras_rlr.training.images_record import (
    CALIBRATION,
    TRAINING,
    content_hashes,
    read_run_images,
)
from keras_rlr.training.run_folder import RunFolder


@dataclass(frozen=True)
class RunImages:
    """A run's images, as they are now.

    Args:
        fitted: Those that its model was trained on.
        held: Those that were held out for calibration.
        parts: Pairs of a data set's folder and the names of its categories.
        hashes: SHA-256 of all these images.
    """

    fitted: JoinedDataset
    held: JoinedDataset
    parts: tuple[tuple[Path, tuple[str, ...]], ...]
    hashes: frozenset[str]


def run_parts(config: dict[str, Any]) -> list[dict[str, Any]]:
    """The data sets of a run: dicts of "path" and "categories".

    Args:
        config: Its `config.json`. Runs that no product was added to have one data set.
    """
    data = config["data"]
    one = {"path": data["path"], "categories": data["categories"]}
    return data.get("parts") or [one]


def find_run_images(
    run: RunFolder, config: dict[str, Any], categories: Any, data: Any = None
) -> RunImages:
    """Finds the images of a run by their content, be they moved or not.

    Args:
        run: The `RunFolder`.
        config: Its `config.json`.
        categories: The categories whose images are needed.
        data: A folder that they may be in now, or None.

    Returns:
        `RunImages`. Images that came to the folders since are left out, which is
        announced.

    Raises:
        FileNotFoundError: If images are missing; it says how many and what to do.
    """
    record = _read_record(run, config)
    fitted, held, parts, extra = [], [], [], 0
    hashes: set[str] = set()
    for part in run_parts(config):
        names = sorted(set(part["categories"]) & set(categories))
        if not names:
            continue
        places = [Path(place) for place in (data, part["path"]) if place is not None]
        problems = []
        for place in places:
            try:
                dataset = FolderDataset(place, "train", names)
            except (OSError, ValueError) as error:
                problems.append(str(error))
                continue
            if record is None:
                found, problem = _same_split(dataset, config)
            else:
                found, problem = _by_record(dataset, record, names)
            if found is not None:
                hashes.update(found[2])
                break
            problems.append(problem)
        else:
            raise FileNotFoundError(
                f"The images of {', '.join(names)} that the run in '{run.path}' was "
                "trained on are needed, so that its model does not forget them and "
                f"their thresholds stay right: {' '.join(problems)} Restore them, or "
                "name the folder that has them now with --data; or train on all "
                "products anew. A feature cache can't take their place: it does not "
                "hold the images that thresholds are set by."
            )
        fitted.append(found[0])
        held.append(found[1])
        extra += len(dataset) - len(found[0]) - len(found[1])
        parts.append((place.resolve(), tuple(names)))
    if extra:
        warnings.warn(
            f"{extra} images came to the run's data since it was trained; they are not "
            "used. Train anew to learn from them.",
            stacklevel=2,
        )
    return RunImages(
        JoinedDataset(fitted), JoinedDataset(held), tuple(parts), frozenset(hashes)
    )


def _read_record(run, config):
    """Rows (use, hash, path, category) of `images.csv`, or None without one."""
    if not run.images.is_file():
        return None
    read_run_images(run.images)  # It refuses what is no such record.
    with run.images.open(encoding="utf-8", errors="replace", newline="") as file:
        return [
            (row["use"], row["sha256"], row.get("path") or "", category_in(row, config))
            for row in csv.DictReader(file)
        ]


def category_in(row: dict[str, str], config: dict[str, Any]) -> str | None:
    """The category of a row of `images.csv`; None if it is not known.

    Args:
        row: The row; those of earlier versions don't have it but for the path.
        config: The run's `config.json`.
    """
    if row.get("category"):
        return row["category"]
    names = config["data"]["categories"]
    if len(names) == 1:
        return names[0]
    first = (row.get("path") or "").split("/")[0]
    return first if first in names else None


def _by_record(dataset, record, names):
    """Images trained on, held out, and hashes of both; or None and what is wrong."""
    # Copies of an image may have been for both; their names tell them apart.
    by_path = {(digest, path): use for use, digest, path, _ in record}
    by_content: dict[str, str] = {}
    for kind in (CALIBRATION, TRAINING):
        by_content |= {row[1]: kind for row in record if row[0] == kind}
    uses: dict[str, list[int]] = {TRAINING: [], CALIBRATION: []}
    hashes = content_hashes([sample.image for sample in dataset.samples])
    for i, (sample, digest) in enumerate(zip(dataset.samples, hashes, strict=True)):
        use = by_path.get((digest, sample.path)) or by_content.get(digest)
        if use is not None:
            uses[use].append(i)
    needed = {row[1]: row[2] for row in record if row[3] in (*names, None)}
    there = set(hashes)
    missing = [path for digest, path in needed.items() if digest not in there]
    if missing:
        return None, (
            f"{len(missing)} of {len(needed)} are not in '{dataset.path}', or are "
            f"others there (the first: {missing[0]})."
        )
    return (
        dataset.subset(uses[TRAINING]),
        dataset.subset(uses[CALIBRATION]),
        set(needed),
    ), ""


def _same_split(dataset, config):
    """The same of a run of an earlier version, which has no record."""
    settings = config["settings"]
    fitted, held = hold_out(
        dataset, settings.get("calibration_fraction", 0.1), settings.get("seed", 0)
    )
    if fitted.fingerprint() != config["data"].get("training_fingerprint"):
        return None, (
            f"those in '{dataset.path}' have other names, sizes or times of change, "
            "and the run has no images.csv that would tell them by content."
        )
    files = [sample.image for sample in (*fitted.samples, *held.samples)]
    return (fitted, held, content_hashes(files)), ""
