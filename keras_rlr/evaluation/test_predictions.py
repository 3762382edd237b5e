from dataclasses import dataclass, field

import numpy as np

from keras_rlr.datasets.mask_check import MaskCheck
from keras_rlr.detectors.decision_thresholds import refuse_not_finite
from keras_rlr.evaluation.predict_batch import predict_batch
from keras_rlr.inputs.image_source import ImageSource
from keras_rlr.inputs.labels import label_of
from keras_rlr.inputs.masks import to_square_mask
from keras_rlr.inputs.prediction_batches import category_name
from keras_rlr.inputs.value_ranges import ValueRanges


@dataclass
class TestPredictions:
    """What a model said of every image of a test set, beside what is true.

    Args:
        labels: Boolean array (images,), whether each is anomalous.
        scores: float32 array (images,), the anomaly scores.
        categories: Object array (images,) of names.
        maps: float32 array (images, S, S), the anomaly maps.
        masks: Boolean array (images, S, S).
        unmasked: Names of the categories that have anomalous images without a mask.
        original_masks: Masks of the images' own sizes, packed, or an empty list.
        unseen: Names of the categories that the model was not trained on, as far as it
            knows what it was trained on.
    """

    __test__ = False  # pytest takes every name that begins so for tests

    labels: np.ndarray
    scores: np.ndarray
    categories: np.ndarray
    maps: np.ndarray
    masks: np.ndarray
    unmasked: set = field(default_factory=set)
    original_masks: list = field(default_factory=list)
    unseen: set = field(default_factory=set)

    @property
    def names(self):
        """The categories, sorted."""
        return sorted(set(self.categories))

    def rows(self, category):
        """Positions of the images of a category."""
        return np.flatnonzero(self.categories == category)


class PackedMask:
    """A mask in an eighth of the memory.

    Args:
        mask: Boolean array (height, width).
    """

    def __init__(self, mask):
        self.shape = mask.shape
        self._bits = np.packbits(mask) if mask.any() else None

    def unpack(self):
        """Returns the boolean array."""
        if self._bits is None:
            return np.zeros(self.shape, bool)
        count = self.shape[0] * self.shape[1]
        return np.unpackbits(self._bits, count=count).astype(bool).reshape(self.shape)


def predict_test_set(
    model, dataset, batch_size=16, original_size=False, on_progress=None
):
    """Runs a model over a test set.

    Args:
        model: An `RLR` model, trained.
        dataset: Sequence of dicts, see `evaluate_model`.
        batch_size: Images predicted at a time.
        original_size: Whether to keep the masks of the images' own sizes too.
        on_progress: Called with (images done, images in all) after every batch.

    Returns:
        `TestPredictions`.

    Raises:
        ValueError: If the data set is empty or a mask is malformed.
        FloatingPointError: If a score is not a finite number.
    """
    count = len(dataset)
    if not count:
        raise ValueError("The data set has no images, so there is nothing to evaluate.")
    size = model.image_size
    kept = TestPredictions(
        labels=np.zeros(count, bool),
        scores=np.zeros(count, "float32"),
        categories=np.empty(count, object),
        maps=np.zeros((count, size, size), "float32"),
        masks=np.zeros((count, size, size), bool),
    )
    batch_size = min(batch_size, count)
    check = MaskCheck(size)
    value_ranges = ValueRanges(getattr(model, "bit_depth", None))
    start = 0
    for elements in ImageSource(dataset, batch_size).pick(range(count)):
        rows = range(start, start + len(elements))
        start = rows.stop
        images = [element["image"] for element in elements]
        output = predict_batch(model, images, batch_size, value_ranges=value_ranges)
        # At once, and not when all images have been predicted.
        refuse_not_finite(output["anomaly_score"], "be evaluated")
        kept.scores[rows] = output["anomaly_score"]
        kept.maps[rows] = output["anomaly_map"]
        for i, element in zip(rows, elements, strict=True):
            _keep_truth(kept, i, element, original_size)
            if kept.labels[i] and element.get("mask") is not None:
                name = str(element.get("path", f"image {i}"))
                check.add(name, element["mask"], kept.masks[i])
        if on_progress:
            on_progress(rows.stop, count)
    check.warn()
    value_ranges.finish()
    trained_on = set(getattr(model, "trained_categories", ()))
    if trained_on:
        kept.unseen = set(kept.categories) - trained_on
    return kept


def _keep_truth(kept, i, element, original_size):
    label, category = label_of(element, i), category_name(element)
    if label is None or category is None:
        missing = "label" if label is None else "category"
        raise ValueError(
            f"Element {i} of the data has no {missing!r}. An evaluation needs elements "
            "that are dicts with 'image', 'label' (0 normal, 1 anomalous) and "
            "'category'."
        )
    kept.labels[i] = label
    kept.categories[i] = category
    mask = element.get("mask")
    if mask is not None:
        kept.masks[i] = to_square_mask(mask, kept.masks.shape[1])
    elif kept.labels[i]:
        kept.unmasked.add(category)
    if original_size:
        height, width = np.shape(element["image"])[:2]
        native = np.zeros((height, width), bool) if mask is None else np.asarray(mask)
        kept.original_masks.append(PackedMask(native.reshape(native.shape[:2]) > 0))
