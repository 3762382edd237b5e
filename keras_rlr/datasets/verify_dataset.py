from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from keras_rlr.datasets.catalogue import PublishedDataset
from keras_rlr.datasets.image_files import check_folder, read_image
from keras_rlr.datasets.layouts import find_layout
from keras_rlr.datasets.mask_files import read_mask
from keras_rlr.datasets.sample import Sample


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
    folder = Path(folder)
    check_folder(folder)
    layout, found = find_layout(folder)
    samples: list[Sample] = []
    for name in sorted(found):
        parts = {
            split: layout.list_samples(
                folder, found[name], name, split, refuse=result.problems.append
            )
            for split in ("train", "test")
        }
        labels = [sample.label for sample in parts["test"]]
        result.counts[name] = (len(parts["train"]), labels.count(0), labels.count(1))
        samples += [*parts["train"], *parts["test"]]
    if published is not None:
        _compare(result, published)
    for done, sample in enumerate(samples, start=1):
        try:
            height, width = read_image(sample.image).shape[:2]
            if sample.mask:
                read_mask(sample.mask, height, width)
        except (ValueError, OSError) as error:
            result.problems.append(str(error))
        if on_progress:
            on_progress(done, len(samples))
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
