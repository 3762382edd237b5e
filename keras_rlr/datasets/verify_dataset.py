from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from keras_rlr.datasets.account import Account
from keras_rlr.datasets.catalogue import PublishedDataset
from keras_rlr.datasets.image_files import read_image
from keras_rlr.datasets.mask_files import (
    read_masks,
    says_all_in_alpha,
)
from keras_rlr.datasets.read_dataset import ReadDataset, read_dataset
from keras_rlr.datasets.reading import SPLITS
from keras_rlr.datasets.same_contents import same_contents
from keras_rlr.inputs.mask_check import MaskCheck
from keras_rlr.inputs.masks import resize_mask
from keras_rlr.printable import name_some

_SHOWN = 3
_MAP_SIZE = 256  # of models, unless they are made otherwise


@dataclass
class Verification:
    """What a data set's folder holds, and what is wrong with it.

    Args:
        account: what every file is used as, or why it is left out.
        counts: for each category, the normal images to train on, and the normal and
            the anomalous ones to test on.
        warnings: what is odd and may be right, in sentences.
        problems: a sentence each.
    """

    account: Account
    counts: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def verify_dataset(
    folder: str | Path,
    published: PublishedDataset | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Verification:
    """Reads every image and mask of a data set and accounts for every file.

    Test images that are copies of training images, byte for byte, are problems too.

    Args:
        folder: the data set's folder, in any layout that `FolderDataset` reads.
        published: the data set it should be, whose counts are compared, or None.
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
    found = read_dataset(Path(folder))
    reading = found.reading
    result = Verification(reading.account())
    result.warnings += reading.warnings
    result.problems += dict.fromkeys(problem.sentence for problem in reading.problems)
    for name in found.categories:
        labels = [sample.label for sample in reading.samples(name, "test")]
        trained = len(reading.samples(name, "train"))
        result.counts[name] = (trained, labels.count(0), labels.count(1))
        _check_splits(result, found, name)
    _check_copies(result, found)
    if published is not None:
        _compare(result, published)
    samples = [
        sample
        for name in found.categories
        for split in SPLITS
        for sample in reading.samples(name, split)
    ]
    check = MaskCheck(_MAP_SIZE)
    for done, sample in enumerate(samples, start=1):
        try:
            height, width = read_image(sample.image).shape[:2]
            mask = read_masks(sample, height, width)
            if sample.label and sample.masks:
                square = resize_mask(mask, _MAP_SIZE, _MAP_SIZE)
                in_alpha = says_all_in_alpha(sample.masks)
                check.add(sample.path, mask, square, in_alpha)
        except (ValueError, OSError) as error:
            result.problems.append(str(error))
        if on_progress:
            on_progress(done, len(samples))
    result.warnings += check.warnings()
    return result


def _check_splits(result: Verification, found: ReadDataset, category: str) -> None:
    for split in SPLITS:
        # Another problem has said why, if there is one.
        said = found.reading.problems_of(category, split)
        if (category, split) in found.empty and not said:
            result.problems.append(found.empty[category, split])
    _, normal, anomalous = result.counts[category]
    if anomalous and not normal:
        result.problems.append(
            f"{category}: there are {anomalous} anomalous test images and no normal "
            "ones, so nothing can be said of how well a model tells them apart. Add "
            "normal images to the test split."
        )


def _check_copies(result: Verification, found: ReadDataset) -> None:
    """Of all categories: an image may be a copy of another one's."""
    trained, tested = (
        [s for name in found.categories for s in found.reading.samples(name, split)]
        for split in SPLITS
    )
    copies: dict[str, list[str]] = {}
    for sample, original in same_contents(trained, tested):
        pair = f"'{sample.path}' of '{original.path}'"
        copies.setdefault(sample.category, []).append(pair)
    for category, pairs in copies.items():
        are = "image is a copy" if len(pairs) == 1 else "images are copies"
        result.problems.append(
            f"{category}: {len(pairs)} test {are} of images that are trained on: "
            f"{name_some(pairs, _SHOWN)}. Such images look more normal than new ones. "
            "Remove them from one of the splits."
        )


def _compare(result: Verification, published: PublishedDataset) -> None:
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
