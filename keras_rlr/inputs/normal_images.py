"""What a model learns from: normal images alone."""

import numpy as np

from keras_rlr.inputs.images import to_array
from keras_rlr.inputs.labels import label_of


def refuse_anomalous(elements, first_index):
    """Refuses elements with another label than 0 or a mask that is not empty.

    Raises:
        ValueError: Naming the first such element, or one whose label can't be read.
    """
    for offset, element in enumerate(elements):
        label = label_of(element, first_index + offset)
        mask = element.get("mask")
        if label or (mask is not None and np.any(to_array(mask) != 0)):
            name = element.get("path")
            name = f" ({to_array(name)})" if name is not None else ""
            raise ValueError(
                f"Element {first_index + offset}{name} of the data is anomalous "
                "(a label other than 0, or a mask that is not empty). The model learns "
                "from normal images only, and so do its thresholds: filter the others "
                "out. If the label says something else, as of which product the image "
                "is, leave it out."
            )
