from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from keras_rlr.datasets.catalogue import PublishedDataset
from keras_rlr.datasets.folder_dataset import FolderDataset
from keras_rlr.datasets.image_files import check_folder
from keras_rlr.datasets.layouts import find_layout

SPLITS: tuple[Literal["train"], Literal["test"]] = ("train", "test")


@dataclass
class Verification:
    """What a data set's folder holds, and what is wrong with it.

    Args:
        counts: for each category, the normal images to train on, and the normal and
            the anomalous ones to test on.
        problems: a sentence each.
    """

    counts: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def verify_dataset(
    folder: str | Path,
    published: PublishedDataset | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Verification:
    """Reads every image and mask of a data set and compares its counts.

    Args:
        folder: the data set's folder, in any layout that `FolderDataset` reads.
        published: the data set it should be, or None.
        on_progress: called with (images done, images in all).

    Returns:
        A `Verification`; nothing is wrong if it has no problems.

    Raises:
        FileNotFoundError: if there is no such folder.
        ValueError: if it is laid out in no known way.

    Example:

    ```python
    from keras_rlr.datasets.catalogue import MVTEC_AD
    from keras_rlr.datasets.verify_dataset import verify_dataset

    verify_dataset("mvtec_ad", MVTEC_AD).problems
    ```
    """
    result = Verification()
    check_folder(Path(folder))
    readable: list[FolderDataset] = []
    for name in sorted(find_layout(Path(folder))[1]):
        labels: dict[str, list[int]] = {"train": [], "test": []}
        for split in SPLITS:
            try:
                dataset = FolderDataset(folder, split, [name])
            except ValueError as error:
                result.problems.append(f"{name}, {split}: {error}")
            else:
                readable.append(dataset)
                labels[split] = [sample.label for sample in dataset.samples]
        test = labels["test"]
        result.counts[name] = (len(labels["train"]), test.count(0), test.count(1))
    if published is not None:
        _compare(result, published)
    total, done = sum(map(len, readable)), 0
    for dataset in readable:
        for i in range(len(dataset)):
            try:
                dataset[i]
            except (ValueError, OSError) as error:
                result.problems.append(str(error))
            done += 1
            if on_progress:
                on_progress(done, total)
    return result


def _compare(result, published):
    for name, expected in published.counts.items():
        if name not in result.counts:
            result.problems.append(f"{name}: the category is missing.")
            continue
        kinds = ("normal training", "normal test", "anomalous test")
        for kind, want, have in zip(kinds, expected, result.counts[name], strict=True):
            if want != have:
                result.problems.append(
                    f"{name}: {have} {kind} images; {published.title} has {want}."
                )
    for name in sorted(set(result.counts) - set(published.counts)):
        result.problems.append(f"{name}: no category of {published.title}.")
