"""How images of files are read, scored and decided, one by one or by the million."""

import math
from collections.abc import Callable, Collection, Iterable, Mapping, MutableSequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_rlr.category_names import known_name
from keras_rlr.evaluation.predict_batch import predict_batch
from keras_rlr.evaluation.prediction import Prediction
from keras_rlr.image_size import ImageSize
from keras_rlr.inputs.host_batches import resized_image
from keras_rlr.inputs.image_measures import measure_image
from keras_rlr.inputs.resized_image import ResizedImage
from keras_rlr.inputs.value_ranges import ValueRanges, check_bit_depth


def folder_category(path: str | Path, known: Collection[str]) -> str | None:
    """The category that the nearest folder around an image is called like.

    Args:
        path: The image's file.
        known: Names of categories.

    Returns:
        A name, or None.
    """
    return nearest_category(Path(path).resolve().parent.parts, known)


def nearest_category(folders: Iterable[str], known: Collection[str]) -> str | None:
    """The last of some folders' names that is a category's.

    Args:
        folders: The names, the outermost first.
        known: Names of categories.

    Returns:
        A name as it is known, or None.
    """
    named = (known_name(folder, known) for folder in reversed(tuple(folders)))
    return next(filter(None, named), None)


def read_resized(
    load: Callable[[], np.ndarray],
    name: str | Path,
    size: ImageSize,
    bit_depth: int | None = None,
) -> tuple[np.ndarray | None, ResizedImage | None, str]:
    """Reads an image and brings it to the model's size.

    Args:
        load: Returns the image, or raises OSError or ValueError.
        name: What it is called in errors: its path.
        size: What the model sees, side or (height, width).
        bit_depth: Bits that a value of uint16 images has; None is 16.

    Returns:
        The image, the same as a `ResizedImage`, and ""; or None twice, and what is
        wrong with it.
    """
    try:
        image = load()
        check_bit_depth(image, bit_depth, f"'{name}'")
        element = {"image": image, "path": str(name)}
        return image, resized_image(element, 0, size, bit_depth), ""
    except (OSError, ValueError) as error:
        return None, None, str(error)


def note_measures(model: Any, row: Prediction, resized: ResizedImage) -> None:
    """Measures an image, within the model's region of interest if that is of all.

    Args:
        model: The detector.
        row: The image's `Prediction`, which is completed.
        resized: The image.
    """
    region = getattr(model, "common_region", None)
    for name, value in measure_image(resized, region).items():
        setattr(row, name, value)


def score_resized(
    model: Any,
    rows: MutableSequence[Prediction],
    resized: Mapping[int, ResizedImage],
    batch_size: int,
    value_ranges: ValueRanges,
    look: Any = None,
) -> dict[int, np.ndarray]:
    """Scores and decides some images, which become one batch.

    Args:
        model: The detector.
        rows: `Prediction`s, which are completed.
        resized: The images, by the position of their rows.
        batch_size: Images of a batch; there may be fewer.
        value_ranges: The `ValueRanges` of the pass.
        look: What `model.where_to_look` returned of all rows.

    Returns:
        Dict of the anomaly maps by position, without those whose score is no number.

    Raises:
        ValueError: If the values of all images are not what they should be.
    """
    categories = [rows[i].category for i in resized]
    images = list(resized.values())
    output = predict_batch(
        model, images, batch_size, categories, value_ranges, look, list(resized)
    )
    flags = output.get("is_anomalous", [None] * len(resized))
    maps = {}
    if "category" in output:
        _note_categories(model, rows, resized, output)
    for i, score, flag, anomaly_map in zip(
        resized, output["anomaly_score"], flags, output["anomaly_map"], strict=True
    ):
        if not math.isfinite(score):
            rows[i].error = f"The model's score is {score}, so nothing is decided."
            continue
        rows[i].anomaly_score = float(score)
        rows[i].is_anomalous = None if flag is None else bool(flag)
        maps[i] = anomaly_map
    return maps


def _note_categories(
    model: Any,
    rows: MutableSequence[Prediction],
    resized: Iterable[int],
    output: Mapping[str, Any],
) -> None:
    known = model.known_categories
    found = zip(resized, output["category"], output["comparable_score"], strict=True)
    for i, number, comparable in found:
        if math.isfinite(comparable):
            rows[i].comparable_score = float(comparable)
        if rows[i].category is None:
            rows[i].is_known_category = bool(number >= 0)
            rows[i].category = known[number] if number >= 0 else None
