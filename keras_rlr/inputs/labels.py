"""What a label says: 0 is normal, any other whole number anomalous."""

from dataclasses import dataclass

import numpy as np

from keras_rlr.inputs.images import to_array


@dataclass(frozen=True)
class UnusableLabel:
    """Stands for a label that can't be read, and is refused where it is used.

    Args:
        reason: What was received.
    """

    reason: str


def label_of(element, position):
    """Whether an element is anomalous, or None if it has no label.

    Args:
        element: Dict of an image, as `keras_rlr.inputs.elements.element` makes it.
        position: Of the element in the data, for messages.

    Raises:
        ValueError: If its label is no whole number, or it has a sample weight other
            than 1.
    """
    weight = element.get("sample_weight")
    if weight is not None and not _is_one(weight):
        raise ValueError(
            f"Element {position} of the data has a third part that is not the sample "
            "weight 1. All images count alike: leave weights out. Masks belong in "
            "dicts with 'image', 'label' and 'mask'."
        )
    label = element.get("label")
    return None if label is None else _is_anomalous(label, position)


def _is_one(weight):
    if isinstance(weight, UnusableLabel):
        return False
    weight = to_array(weight)
    return weight.size == 1 and weight.dtype.kind in "biuf" and weight.item() == 1


def _is_anomalous(label, position):
    if isinstance(label, UnusableLabel):
        received = label.reason
    elif isinstance(label, str | bytes | dict | list | tuple):
        received = f"{label!r:.80}"
    else:
        values = to_array(label)
        # NumPy knows no bfloat16 by its kind.
        known = values.dtype.kind in "biuf" or values.dtype.name == "bfloat16"
        if known and values.size == 1:
            value = float(values.reshape(()))
            if value == np.floor(value) and np.isfinite(value):
                return value != 0
            received = f"{value:g}"
        elif known:
            received = f"an array of shape {values.shape}"
        else:
            received = f"{values.tolist()!r:.80}"
    raise ValueError(
        f"The label of element {position} of the data can't be read: {received}. A "
        "label is one whole number for each image: 0 normal, any other anomalous. Of "
        "one-hot labels take the argmax, of names `name != 'good'`; leave out what is "
        "no label."
    )
