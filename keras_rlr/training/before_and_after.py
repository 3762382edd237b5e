"""A model's figures before and after a change of its products."""

import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from keras_rlr.datasets import FolderDataset
from keras_rlr.datasets.joined_dataset import JoinedDataset
from keras_rlr.evaluation.evaluate_model import measure, resolve_map_size
from keras_rlr.evaluation.test_predictions import predict_test_set


def images_to_test(parts: Iterable[tuple[Path, Iterable[str]]]) -> JoinedDataset:
    """The test images of data sets; categories without any are announced.

    Args:
        parts: Pairs of a folder and the names of its categories.
    """
    found, missing = [], {}
    for place, names in parts:
        try:
            found.append(FolderDataset(place, "test", names))
            continue
        except (OSError, ValueError) as error:
            reason = str(error)
        for name in names:
            try:
                found.append(FolderDataset(place, "test", [name]))
            except (OSError, ValueError) as error:
                missing[name] = reason = str(error)
    if missing:
        warnings.warn(
            f"There are no figures of {', '.join(missing)}: {reason}", stacklevel=2
        )
    return JoinedDataset(found)


def figures_of(model: Any, tests: JoinedDataset, on_progress: Any = None) -> Any:
    """Figures of each category, a dict of dicts, as of `evaluate_model`.

    Args:
        model: The detector.
        tests: What `images_to_test` returned.
        on_progress: As of `evaluate_model`.
    """
    if not len(tests):
        return {}
    original = resolve_map_size(model, None) == "original"
    predictions = predict_test_set(
        model, tests, original_size=original, on_progress=on_progress
    )
    return measure(predictions)["categories"]


def compared(before: Any, after: Any) -> dict[str, Any]:
    """Both figures of each category: dict of "before" and "after" by name.

    Args:
        before: What `figures_of` returned; categories that it lacks have None.
        after: The same.
    """
    return {
        name: {"before": before.get(name), "after": after.get(name)}
        for name in sorted({*before, *after})
    }
