"""Categories that come with images and that a model does not know."""

import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from keras_rlr.category_names import known_names
from keras_rlr.printable import name_some

_NAMED = 5


def warn_of_unknown_categories(
    thresholds: Any, categories: Sequence[str | None], known: Iterable[str] = ()
) -> None:
    """Warns once of names that mean nothing to a model that knows others.

    Args:
        thresholds: The model's `DecisionThresholds`.
        categories: Of each image its name, or None.
        known: Names that the model knows beside those that it recognises or has
            thresholds of.
    """
    recognized = thresholds.known.names
    # Thresholds of what it would not recognise hold only where it recognises nothing.
    named = {*known, *(recognized or thresholds.by_category)}
    strange = Counter(
        name
        for name in known_names(categories, named)
        if name is not None and name not in named
    )
    if not strange or not named:
        return
    instead = (
        "which product they show is recognised by the images"
        if recognized
        else "what holds for all images holds for them"
    )
    warnings.warn(
        f"{strange.total()} of {len(categories)} images came with a category that the "
        f"model does not know ({name_some(map(repr, strange), _NAMED)}): {instead}. It "
        f"knows {', '.join(sorted(named))}; calibrate it on normal images of others "
        "too, or leave the category out.",
        stacklevel=4,
    )
