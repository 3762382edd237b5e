"""The images that a finished run was trained on, found again."""

import csv
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keras_rlr.datasets import FolderDataset
from keras_rlr.datasets.joined_dataset import JoinedDataset
from keras_rlr.training.hold_out import hold_out_as
from keras_rlr.training.images_record import (
    CALIBRATION,
    TRAINING,
    content_hashes,
    read_run_images,
)
from keras_rlr.training.run_folder import RunFolder

# Folders in a run's folder: images that people marked, in MVTec AD's layout, and the
# run as it was before the last change, which has no such folder of its own.
FEEDBACK, BEFORE = "feedback", "before"


@dataclass(frozen=True)
class RunPart:
    """A folder with images of a run.

    Args:
        path: The folder.
        categories: The names of its categories that are the run's.
        is_feedback: Whether it is the run's own folder of images that people marked.
    """

    path: Path
    categories: tuple[str, ...]
    is_feedback: bool = False

    def as_json(self) -> dict[str, Any]:
        """As `config.json` has it."""
        described = {"path": str(self.path), "categories": list(self.categories)}
        return {**described, FEEDBACK: True} if self.is_feedback else described


@dataclass(frozen=True)
class RunImages:
    """A run's images, as they are now.

    Args:
        fitted: Those that its model was trained on.
        held: Those that were held out for calibration.
        parts: The folders they lie in.
        hashes: SHA-256 of all these images.
    """

    fitted: JoinedDataset
    held: JoinedDataset
    parts: tuple[RunPart, ...]
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
    record = read_record(run, config)
    needed = {row[1]: row[2] for row in record or () if row[3] in (*categories, None)}
    fitted, held, parts, extra = [], [], [], 0
    hashes: set[str] = set()
    problems: list[str] = []
    for part in run_parts(config):
        names = sorted(set(part["categories"]) & set(categories))
        if not names:
            continue
        chosen, own = None, []
        for place in _places(run, part, data):
            try:
                dataset = FolderDataset(place, "train", names)
            except (OSError, ValueError) as error:
                own.append(str(error))
                continue
            if record is None:
                found = _same_split(dataset, config)
            else:
                found = _by_record(dataset, record, hashes)
            # Of several folders that with the most of the images.
            if chosen is None or len(found.hashes) > len(chosen.hashes):
                chosen = found
            if not found.problems and needed.keys() <= hashes | found.hashes:
                break
        if chosen is None or chosen.problems:
            problems += own + (chosen.problems if chosen else [])
        if chosen is None:
            continue
        hashes |= chosen.hashes
        extra += len(chosen.dataset) - len(chosen.fitted) - len(chosen.held)
        fitted.append(chosen.dataset.subset(chosen.fitted))
        held.append(chosen.dataset.subset(chosen.held))
        is_feedback = bool(part.get(FEEDBACK))
        place = chosen.dataset.path.resolve()
        parts.append(RunPart(place, tuple(names), is_feedback))
    missing = [path for digest, path in needed.items() if digest not in hashes]
    if missing or (record is None and problems):
        if missing:
            places = " or ".join(f"'{part.path}'" for part in parts) or "any folder"
            problems.append(
                f"{len(missing)} of {len(needed)} are not in {places}, or are others "
                f"there (the first: {missing[0]})."
            )
        raise FileNotFoundError(
            f"The images of {', '.join(sorted(categories))} that the run in "
            f"'{run.path}' was trained on are needed, so that its model does not "
            f"forget them and their thresholds stay right: {' '.join(problems)} "
            "Restore them, or name the folder that has them now with --data; or train "
            "on all products anew. A feature cache can't take their place: it does "
            "not hold the images that thresholds are set by."
        )
    if extra:
        warnings.warn(
            f"{extra} images came to the run's data since it was trained; they are not "
            "used. Train anew to learn from them.",
            stacklevel=2,
        )
    return RunImages(
        JoinedDataset(fitted), JoinedDataset(held), tuple(parts), frozenset(hashes)
    )


@dataclass(frozen=True)
class _Found:
    """Positions of a run's images in a data set, and what is wrong with it."""

    dataset: FolderDataset
    fitted: list[int]
    held: list[int]
    hashes: set[str]
    problems: list[str] = field(default_factory=list)


def _places(run, part, data):
    """Folders that a part may be in, the likeliest first."""
    places = [part["path"]]
    if part.get(FEEDBACK):
        owner = run.path.parent if run.path.name == BEFORE else run.path
        places.insert(0, owner / FEEDBACK)
    elif data is not None:
        places.insert(0, data)
    return list(dict.fromkeys(map(Path, places)))


def read_record(
    run: RunFolder, config: dict[str, Any]
) -> list[tuple[str, str, str, str | None]] | None:
    """Rows (use, hash, path, category) of `images.csv`, or None without one.

    Args:
        run: The `RunFolder`.
        config: Its `config.json`.

    Raises:
        ValueError: If the file is no such record.
    """
    if not run.images.is_file():
        return None
    read_run_images(run.images)  # It refuses what is no such record.
    with run.images.open(encoding="utf-8", errors="replace", newline="") as file:
        return [
            (
                row["use"],
                row["sha256"],
                row.get("path") or "",
                _category_in(row, config),
            )
            for row in csv.DictReader(file)
        ]


def _category_in(row, config):
    """The category of a row of `images.csv`; None if it is not known.

    Rows of earlier versions don't have it but for the path.
    """
    if row.get("category"):
        return row["category"]
    names = config["data"]["categories"]
    if len(names) == 1:
        return names[0]
    first = (row.get("path") or "").split("/")[0]
    return first if first in names else None


def _by_record(dataset, record, taken):
    """The images of a record that are in a data set, but those that others have."""
    # Copies of an image may have been for both; their names tell them apart.
    by_path = {(digest, path): use for use, digest, path, _ in record}
    by_content: dict[str, str] = {}
    for kind in (CALIBRATION, TRAINING):
        by_content |= {row[1]: kind for row in record if row[0] == kind}
    uses: dict[str, list[int]] = {TRAINING: [], CALIBRATION: []}
    hashes = content_hashes([sample.image for sample in dataset.samples])
    for i, (sample, digest) in enumerate(zip(dataset.samples, hashes, strict=True)):
        use = by_path.get((digest, sample.path)) or by_content.get(digest)
        if use is not None and digest not in taken:
            uses[use].append(i)
    found = {digest for digest in hashes if digest in by_content} - taken
    return _Found(dataset, uses[TRAINING], uses[CALIBRATION], found)


def _same_split(dataset, config):
    """The same of a run of an earlier version, which has no record."""
    fitted, held = hold_out_as(dataset, config["settings"])
    if fitted.fingerprint() != config["data"].get("training_fingerprint"):
        problem = (
            f"those in '{dataset.path}' have other names, sizes or times of change, "
            "and the run has no images.csv that would tell them by content."
        )
        return _Found(dataset, [], [], set(), [problem])
    positions = {sample: i for i, sample in enumerate(dataset.samples)}
    hashes = content_hashes([sample.image for sample in dataset.samples])
    return _Found(
        dataset,
        [positions[sample] for sample in fitted.samples],
        [positions[sample] for sample in held.samples],
        set(hashes),
    )
