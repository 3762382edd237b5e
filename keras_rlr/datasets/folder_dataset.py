"""Reads any folder in MVTec AD's layout."""

import copy
import hashlib
import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from keras_rlr.datasets.image_files import check_folder, find_images, read_image

NORMAL = "good"

_LAYOUT = (
    "CATEGORY/train/good/*.png, CATEGORY/test/good/*.png, CATEGORY/test/DEFECT/*.png "
    "and, optionally, CATEGORY/ground_truth/DEFECT/*_mask.png"
)


@dataclass(frozen=True)
class Sample:
    """One image of a data set, not yet read.

    Args:
        image: its file.
        label: 0 for normal, 1 for anomalous.
        mask: the file with its anomalous pixels; None if there is none.
        category: the product it shows.
        defect_type: `"good"`, or the name of the folder of defects.
        path: its place below the data set's folder, with forward slashes.
    """

    image: Path
    label: int
    mask: Path | None
    category: str
    defect_type: str
    path: str


class FolderDataset:
    """A data set in MVTec AD's layout: a sequence of images with their labels.

    ```
    CATEGORY/train/good/*.png             normal images; nothing else is trained on
    CATEGORY/test/good/*.png              normal images
    CATEGORY/test/DEFECT/*.png            anomalous images
    CATEGORY/ground_truth/DEFECT/*.png    masks, NAME_mask.png or NAME.png; optional
    ```

    Folders are searched when the data set is made, and mistakes in the layout are
    found then; images are read when they are asked for. What files can be images
    says `read_image`. Hidden files and folders are left out.

    Args:
        path: the folder with the categories, or the folder of one category.
        split: `"train"` or `"test"`.
        categories: the categories to read; None reads all.

    Raises:
        FileNotFoundError: if there is no such folder.
        NotADirectoryError: if `path` is a file.
        ValueError: if the folder has another layout, a category is unknown or has no
            image in the split, or an anomalous image has no mask although its
            category has a `ground_truth` folder.

    Example:

    ```python
    from keras_rlr.datasets import FolderDataset, write_procedural_dataset

    write_procedural_dataset("products", train_per_category=2, test_normal=1)
    test = FolderDataset("products", split="test")
    element = test[0]
    element["image"].shape, element["label"], element["defect_type"]
    ```

    Source: Bergmann et al., "MVTec AD", CVPR 2019.
    """

    def __init__(
        self,
        path: str | Path,
        split: Literal["train", "test"] = "train",
        categories: Iterable[str] | None = None,
    ):
        if split not in ("train", "test"):
            raise ValueError(f"split must be 'train' or 'test', but it is {split!r}.")
        self.path = Path(path)
        self.split = split
        check_folder(self.path)
        found = _find_categories(self.path)
        chosen = _choose_categories(found, categories, self.path)
        samples: list[Sample] = []
        self._with_masks = set()
        for name in chosen:
            samples += _list_samples(self.path, found[name], name, split)
            if split == "test" and (found[name] / "ground_truth").is_dir():
                self._with_masks.add(name)
        self._samples = tuple(samples)

    @property
    def samples(self) -> tuple[Sample, ...]:
        """The images in order: by category, defect type and name."""
        return self._samples

    @property
    def categories(self) -> tuple[str, ...]:
        """The names of the categories that have images here, sorted."""
        return tuple(sorted({sample.category for sample in self.samples}))

    @property
    def has_masks(self) -> bool:
        """Whether every element has a "mask"."""
        return bool(self.samples) and self._with_masks.issuperset(self.categories)

    def __len__(self) -> int:
        """Number of images."""
        return len(self.samples)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Reads one image.

        Args:
            index: position in `samples`.

        Returns:
            A dict with `"image"` (uint8 or uint16 array (height, width, channels),
            see `read_image`), `"label"` (0 or 1), `"category"`, `"defect_type"` and
            `"path"` (below the data set's folder, with forward slashes). Elements of
            the test split have a `"mask"` too, unless their category has no
            `ground_truth` folder: a uint8 array (height, width), 1 where the mask's
            file is above 0, all 0 for a normal image. A mask of another size than
            its image is resized to it by nearest neighbour.

        Raises:
            IndexError: if there is no such position.
            ValueError: if the image or its mask can't be read.
        """
        sample = self.samples[operator.index(index)]
        image = read_image(sample.image)
        element = {
            "image": image,
            "label": sample.label,
            "category": sample.category,
            "defect_type": sample.defect_type,
            "path": sample.path,
        }
        if sample.category in self._with_masks:
            height, width = image.shape[:2]
            if sample.mask is None:
                element["mask"] = np.zeros((height, width), np.uint8)
            else:
                element["mask"] = _read_mask(sample.mask, height, width)
        return element

    def subset(self, indices: Iterable[int]) -> "FolderDataset":
        """Selects some of the images.

        Args:
            indices: positions in `samples`; the result keeps their order.

        Returns:
            A data set of these images.

        Raises:
            IndexError: if there is no such position.
        """
        subset = copy.copy(self)
        subset._samples = tuple(self.samples[operator.index(i)] for i in indices)
        return subset

    def fingerprint(self) -> str:
        """Tells whether the images are the same as before, without reading them.

        Returns:
            The hexadecimal SHA-256 of each image's path below the data set's
            folder, size and time of last change, in order.
        """
        digest = hashlib.sha256()
        for sample in self.samples:
            status = sample.image.stat()
            line = f"{sample.path}\0{status.st_size}\0{status.st_mtime_ns}\n"
            digest.update(line.encode("utf-8", "surrogateescape"))
        return digest.hexdigest()


def _folders(path: Path) -> list[Path]:
    return sorted(
        child
        for child in path.iterdir()
        if child.is_dir() and not child.name.startswith(".")
    )


def _is_category(path: Path) -> bool:
    return (path / "train").is_dir() or (path / "test").is_dir()


def _find_categories(path: Path) -> dict[str, Path]:
    if _is_category(path):
        return {path.resolve().name: path}
    found = {child.name: child for child in _folders(path) if _is_category(child)}
    if not found:
        raise ValueError(
            f"'{path}' is no data set: neither it nor a folder in it has a 'train' or "
            f"'test' folder. {_describe(path)} Expected the layout of MVTec AD: "
            f"{_LAYOUT}."
        )
    return found


def _describe(path: Path) -> str:
    names = sorted(child.name for child in path.iterdir())
    if not names:
        return "It is empty."
    shown = ", ".join(f"'{name}'" for name in names[:5])
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f"It has {shown}{more}."


def _choose_categories(
    found: dict[str, Path], categories: Iterable[str] | None, path: Path
) -> list[str]:
    if categories is None:
        return sorted(found)
    if isinstance(categories, str):
        categories = [categories]
    chosen = sorted(set(categories))
    unknown = [name for name in chosen if name not in found]
    if unknown or not chosen:
        problem = f"has no category '{unknown[0]}'" if unknown else "was given none"
        raise ValueError(
            f"The data set '{path}' {problem}. Choose from: {', '.join(sorted(found))}."
        )
    return chosen


def _list_samples(root: Path, folder: Path, category: str, split: str) -> list[Sample]:
    if not (folder / split).is_dir():
        raise ValueError(
            f"The category '{category}' has no folder '{folder / split}'. Expected the "
            f"layout of MVTec AD: {_LAYOUT}. Add it, or choose other categories."
        )
    names = [NORMAL]
    if split == "test":
        names = [child.name for child in _folders(folder / split)]
    samples = []
    for name in names:
        part = folder / split / name
        images = find_images(part) if part.is_dir() else []
        masks: Sequence[Path | None] = [None] * len(images)
        if name != NORMAL and (folder / "ground_truth").is_dir():
            masks = _find_masks(images, part, folder / "ground_truth" / name)
        samples += [
            Sample(
                image=image,
                label=int(name != NORMAL),
                mask=mask,
                category=category,
                defect_type=name,
                path=image.relative_to(root).as_posix(),
            )
            for image, mask in zip(images, masks, strict=True)
        ]
    if not samples:
        wanted = folder / split / (NORMAL if split == "train" else "good or DEFECT")
        raise ValueError(
            f"There are no images in '{wanted}'. Put "
            f"{'normal images' if split == 'train' else 'images'} there (.png, .jpg, "
            f".bmp, .tif or .webp), or leave the category '{category}' out."
        )
    return samples


def _find_masks(images: list[Path], part: Path, folder: Path) -> list[Path]:
    """The mask of each image; the suffixes of the two may differ."""
    found = {}
    if folder.is_dir():
        for mask in find_images(folder):
            found[mask.relative_to(folder).with_suffix("")] = mask
    masks = []
    for image in images:
        name = image.relative_to(part).with_suffix("")
        names = (name.with_name(f"{name.name}_mask"), name)
        matches = [found[candidate] for candidate in names if candidate in found]
        if not matches:
            raise ValueError(
                f"The anomalous image '{image}' has no mask. Expected "
                f"'{folder / name}_mask.png' or '{folder / name}.png'. Add it, or "
                "remove the whole 'ground_truth' folder to do without masks."
            )
        masks.append(matches[0])
    return masks


def _read_mask(path: Path, height: int, width: int) -> np.ndarray:
    pixels = read_image(path)
    colours = pixels[..., : pixels.shape[-1] - (pixels.shape[-1] in (2, 4))]
    mask = np.any(colours > 0, axis=-1)
    if mask.shape != (height, width):
        rows = (2 * np.arange(height) + 1) * mask.shape[0] // (2 * height)
        columns = (2 * np.arange(width) + 1) * mask.shape[1] // (2 * width)
        mask = mask[rows[:, None], columns]
    return mask.astype(np.uint8)
