"""What `predict` says of all images together, whoever scored them."""

import collections
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from keras_rlr.cli.printing import say
from keras_rlr.evaluation.prediction import UNKNOWN_PRODUCT


def print_summary(counts: Mapping[str | None, Sequence[int]], thresholds: Any) -> None:
    """Prints how many images were scored and how many are anomalous.

    Args:
        counts: Both numbers by category, None where none decided.
        thresholds: The model's `DecisionThresholds`.
    """
    if thresholds.threshold is None:
        scored = sum(many for many, _ in counts.values())
        say(f"Images scored: {scored}; the model has no threshold yet.")
        return
    own = thresholds.by_category
    groups: dict[str | None, list[int]] = collections.defaultdict(lambda: [0, 0])
    for name, (many, anomalous) in counts.items():
        if name != UNKNOWN_PRODUCT or name in own:
            group = groups[name if name in own else None]
            group[0] += many
            group[1] += anomalous
    for name in sorted(groups, key=str):
        many, anomalous = groups[name]
        shown = "" if name is None else f" of {name}"
        say(
            f"Images{shown} scored: {many}; anomalous (score at least "
            f"{thresholds.of(name):.4g}): {anomalous}."
        )


def warn_of_unknown(
    model: Any, strange: int, count: int, where: str, first: str | None = None
) -> None:
    """Warns of images that show no product that the model knows.

    Args:
        model: The detector.
        strange: Number of such images.
        count: Number of all images.
        where: What has their category.
        first: The path of one, or None.
    """
    named = "" if first is None else f" The first: {first}."
    warnings.warn(
        f"{strange} of {count} images show no product that the model knows "
        f"({', '.join(model.known_categories)}) and are called anomalous; in {where} "
        f"their category is {UNKNOWN_PRODUCT}.{named} If they show one, name it with "
        "--category.",
        stacklevel=2,
    )
