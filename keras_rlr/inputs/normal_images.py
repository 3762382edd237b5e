"""What a model learns from: normal images alone."""

import numpy as np

from keras_rlr.inputs.images import to_array


def refuse_anomalous(elements, first_index):
    """Refuses elements with label 1 or a mask that is not empty.

    Raises:
        ValueError: Naming the first such element.
    """
    for offset, element in enumerate(elements):
        label = element.get("label")
        mask = element.get("mask")
        if (label is not None and np.any(to_array(label) != 0)) or (
            mask is not None and np.any(to_array(mask) != 0)
        ):
            name = element.get("path")
            name = f" ({to_array(name)})" if name is not None else ""
            raise ValueError(
                f"Element {first_index + offset}{name} of the data is anomalous "
                "(label 1, or a mask that is not empty). The model learns from normal "
                "images only, and so do its thresholds: filter the others out."
            )
