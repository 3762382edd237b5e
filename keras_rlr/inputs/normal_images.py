"""What a model learns from: normal images alone."""

import numpy as np

from keras_rlr.inputs.images import to_array
from keras_rlr.inputs.labels import label_of
from keras_rlr.inputs.masks import refuse_nan
from keras_rlr.inputs.truth import in_words, name_of


def refuse_anomalous(elements, first_index):
    """Refuses elements with another label than 0 or a mask that is not empty.

    Raises:
        ValueError: Naming the first such element, or one whose label or mask can't be
            read.
    """
    for position, element in enumerate(elements, first_index):
        if label_of(element, position) or _has_marks(element, position):
            raise ValueError(
                f"{name_of(element, position)} is anomalous (a label other than 0, or "
                "a mask that is not empty). The model learns from normal images only, "
                "and so do its thresholds: filter the others out. If the label says "
                "something else, as of which product the image is, leave it out."
            )


def _has_marks(element, position):
    if element.get("mask") is None:
        return False
    mask = to_array(element["mask"])
    with in_words(element, position):
        refuse_nan(mask)
    return bool(np.any(mask != 0))
