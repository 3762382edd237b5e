"""Writes the procedural data set."""

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from keras_rlr.datasets.procedural.png_file import write_png
from keras_rlr.datasets.procedural.render_product import (
    KINDS,
    PROCEDURAL_CATEGORIES,
    render_product,
)
from keras_rlr.image_size import height_and_width
from keras_rlr.inputs.read_ahead import read_ahead


def write_procedural_dataset(
    path: str | Path,
    seed: int = 0,
    image_size: int | tuple[int, int] | None = None,
    train_per_category: int = 28,
    test_normal: int = 10,
    test_anomalous: int = 12,
    categories: Iterable[str] | None = None,
) -> Path:
    """Writes a data set of painted products in MVTec AD's layout.

    Six categories: the textures fabric, tiles and wood, and the objects capsule,
    circuit and gear. Four kinds of defect each, out of contamination, hole, misplaced
    part, missing part, scratch and stain. Position, rotation, colour, pattern, light
    and noise vary from one normal image to the next, so that a picture's distance to
    the mean picture says little. Masks are exact: see `render_product`. The same
    arguments give the same files, byte for byte, on every machine.

    The folder appears when it is complete, or not at all.

    Args:
        path: the folder to write; it must not exist, or be empty.
        seed: a non-negative integer.
        image_size: side of square images, or height and width; None for each
            category's own, between 240 and 320 pixels.
        train_per_category: number of normal images to train on.
        test_normal: number of normal images to test on, a category.
        test_anomalous: number of anomalous images, a category, spread over its kinds
            of defect.
        categories: which of `PROCEDURAL_CATEGORIES`; None for all.

    Returns:
        The folder.

    Raises:
        FileExistsError: if `path` is a file, or a folder with something in it.
        ValueError: if a number is negative, no image would be trained on, the images
            are under 64 pixels, or a category is unknown.

    Example:

    ```python
    from keras_rlr.datasets import FolderDataset, write_procedural_dataset

    write_procedural_dataset("products", seed=0, train_per_category=4)
    len(FolderDataset("products"))  # 24
    ```
    """
    path = Path(path)
    chosen = _check_categories(categories)
    size = _check_size(image_size)
    _check_counts(seed, train_per_category, test_normal, test_anomalous)
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise FileExistsError(
            f"'{path}' exists already. Give the path of a new or empty folder, or "
            "remove it first."
        )
    # A sibling is on the same file system, where a rename is atomic.
    complete = path.resolve()
    unfinished = complete.with_name(f".{complete.name}-{secrets.token_hex(4)}")
    unfinished.mkdir(parents=True)
    try:
        pictures = _pictures(
            chosen, seed, train_per_category, test_normal, test_anomalous
        )
        # NumPy lets other threads run while it works on a picture. Closed, they have
        # ended before the folder is renamed or removed.
        with contextlib.closing(
            read_ahead(lambda picture: _paint(unfinished, size, *picture), pictures)
        ) as painted:
            for _ in painted:
                pass
        if complete.exists():
            complete.rmdir()
        os.replace(unfinished, complete)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    return path


def _pictures(
    categories: list[str], seed: int, train: int, normal: int, anomalous: int
) -> Iterator[tuple[str, tuple[int, ...], str | None, str]]:
    """Category, seed, kind of defect and name of every picture."""
    for category in categories:
        number = PROCEDURAL_CATEGORIES.index(category)
        for i in range(train):
            yield category, (seed, number, 0, i), None, f"train/good/{i:03d}"
        for i in range(normal):
            yield category, (seed, number, 1, i), None, f"test/good/{i:03d}"
        kinds = KINDS[category].defects
        for i in range(anomalous):
            defect = kinds[i % len(kinds)]
            name = f"test/{defect}/{i // len(kinds):03d}"
            yield category, (seed, number, 2, i), defect, name


def _paint(
    folder: Path,
    size: tuple[int, int] | None,
    category: str,
    seed: tuple[int, ...],
    defect: str | None,
    name: str,
) -> None:
    image, mask = render_product(category, seed, defect, size)
    _write(folder / category / f"{name}.png", image)
    if defect:
        place = name.replace("test", "ground_truth", 1)
        pixels = mask[..., None] * np.uint8(255)
        _write(folder / category / f"{place}_mask.png", pixels)


def _write(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_png(path, pixels)


def _check_categories(categories: Iterable[str] | None) -> list[str]:
    if categories is None:
        return list(PROCEDURAL_CATEGORIES)
    chosen = sorted({categories} if isinstance(categories, str) else set(categories))
    unknown = [name for name in chosen if name not in KINDS]
    if unknown or not chosen:
        problem = f"has no category '{unknown[0]}'" if unknown else "was given none"
        raise ValueError(
            f"The procedural data set {problem}. Choose from: "
            f"{', '.join(PROCEDURAL_CATEGORIES)}."
        )
    return chosen


def _check_size(size: int | tuple[int, int] | None) -> tuple[int, int] | None:
    if size is None:
        return None
    height, width = height_and_width(size)
    if min(height, width) < 64:
        raise ValueError(
            f"image_size must be at least 64 pixels each way, but it is {size!r}."
        )
    return height, width


def _check_counts(seed: int, train: int, normal: int, anomalous: int) -> None:
    counts = {
        "seed": seed,
        "train_per_category": train,
        "test_normal": normal,
        "test_anomalous": anomalous,
    }
    for name, count in counts.items():
        lowest = int(name == "train_per_category")
        if count < lowest:
            raise ValueError(f"{name} must be at least {lowest}, but it is {count}.")
