import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from keras_rlr.category_names import known_names
from keras_rlr.detectors.score_thresholds import refuse_not_finite
from keras_rlr.evaluation.predict_batch import images_at_once, predict_batch
from keras_rlr.inputs.image_source import ImageSource
from keras_rlr.inputs.labels import label_of
from keras_rlr.inputs.mask_check import MaskCheck
from keras_rlr.inputs.prediction_batches import category_name
from keras_rlr.inputs.resize import resize_maps
from keras_rlr.inputs.truth import mask_at, short_name_of, true_mask
from keras_rlr.inputs.value_ranges import ValueRanges
from keras_rlr.metrics import pixel_bins
from keras_rlr.metrics.pixel_bins import PixelBins


@dataclass
class TestPredictions:
    """What a model said of every image of a test set, beside what is true.

    Args:
        labels: Boolean array (images,), whether each is anomalous.
        scores: float32 array (images,), the anomaly scores.
        categories: Object array (images,) of names.
        maps: float32 array (images, height, width), the anomaly maps; None where they
            had too many pixels to be kept.
        masks: Boolean array (images, height, width), or None.
        unmasked: How many anomalous images have no mask, by the names of the categories
            that have such.
        original_masks: Masks of the images' own sizes, packed, or an empty list.
        bins: The `PixelBins` of each category, where maps were not kept.
        unseen: Names of the categories that the model was not trained on, as far as it
            knows what it was trained on.
        comparable_scores: float32 array (images,), the scores in units that mean the
            same for every product; None of a model that recognises none.
        recognized: Object array (images,) of the names of the products that were
            recognised, None for none; or None.
        look: What the model's `where_to_look` returned of the images, or None.
    """

    __test__ = False  # pytest takes every name that begins so for tests

    labels: np.ndarray
    scores: np.ndarray
    categories: np.ndarray
    maps: Any
    masks: Any
    unmasked: Counter = field(default_factory=Counter)
    original_masks: list = field(default_factory=list)
    bins: dict = field(default_factory=dict)
    unseen: set = field(default_factory=set)
    comparable_scores: Any = None
    recognized: Any = None
    look: Any = None

    @property
    def pooled_scores(self):
        """The scores by which the images of all categories are ranked together."""
        comparable = self.comparable_scores
        return self.scores if comparable is None else comparable

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
    model,
    dataset,
    batch_size=16,
    original_size=False,
    on_progress=None,
    regions_of_interest=None,
):
    """Runs a model over a test set.

    A model whose region of interest is by category, and which recognises none by their
    images (while it is trained, none does), looks at each image by the category that
    the data set names.

    Args:
        model: An `RLR` model, trained.
        dataset: Sequence of dicts, see `evaluate_model`.
        batch_size: Images predicted at a time.
        original_size: Whether to keep the masks of the images' own sizes too.
        on_progress: Called with (images done, images in all) after every batch.
        regions_of_interest: Of each image where to look beside the model's own region,
            or None for everywhere; see `WhereToLook`. None if no image has one.

    Returns:
        `TestPredictions`.

    Raises:
        ValueError: If the data set is empty or a mask is malformed.
        FloatingPointError: If a score is not a finite number.
    """
    count = len(dataset)
    if not count:
        raise ValueError("The data set has no images, so there is nothing to evaluate.")
    size = model.map_size
    keep = count * math.prod(size) <= pixel_bins.MOST_EXACT_PIXELS
    kept = TestPredictions(
        labels=np.zeros(count, bool),
        scores=np.zeros(count, "float32"),
        categories=np.empty(count, object),
        maps=np.zeros((count, *size), "float32") if keep else None,
        masks=np.zeros((count, *size), bool) if keep else None,
    )
    # What stands in for a model has no regions.
    if hasattr(model, "where_to_look"):
        kept.look = model.where_to_look(regions_of_interest)
    known = getattr(model, "known_categories", ())
    if kept.look is not None and not known:
        kept.look = _by_own_category(kept.look, kept.categories)
    if known:
        kept.comparable_scores = np.zeros(count, "float32")
        kept.recognized = np.empty(count, object)
    batch_size = min(images_at_once(model, batch_size), count)
    trained_on = getattr(model, "trained_categories", ())
    own_pixels: Counter = Counter()  # of each category, at the images' own sizes
    check = MaskCheck(size)
    bit_depth = getattr(model, "bit_depth", None)
    value_ranges = ValueRanges(bit_depth)
    start = 0
    found: dict[str, None] = {}  # categories, in the form that came first
    source = ImageSource(dataset, batch_size).in_size_of(size, bit_depth)
    for elements in source.pick(range(count)):
        rows = range(start, start + len(elements))
        start = rows.stop
        images = [element["image"] for element in elements]
        # As the model knows them: it has masks and thresholds by these.
        kept.categories[rows] = known_names(
            map(category_name, elements), (*known, *trained_on, *found)
        )
        found.update(dict.fromkeys(filter(None, kept.categories[rows])))
        where = {"look": kept.look, "positions": rows}
        output = predict_batch(
            model, images, batch_size, value_ranges=value_ranges, **where
        )
        # At once, and not when all images have been predicted.
        refuse_not_finite(output["anomaly_score"], "be evaluated")
        kept.scores[rows] = output["anomaly_score"]
        if known:
            kept.comparable_scores[rows] = output["comparable_score"]
            # -1, of none, is the last.
            names = np.array([*known, None], object)
            kept.recognized[rows] = names[output["category"]]
        pairs = zip(rows, elements, output["anomaly_map"], strict=True)
        for i, element, anomaly_map in pairs:
            _keep_truth(kept, i, element)
            own = true_mask(element, kept.labels[i], i)
            # Of an anomalous image without a mask nothing is known: it is left out.
            small = mask_at(size, own)
            mask = _original_mask(element, own) if original_size else small
            if kept.labels[i] and own is not None:
                check.add(short_name_of(element, i), own, mask)
            if original_size and keep:
                # The figures of a category need all of its maps at their own sizes.
                own_pixels[kept.categories[i]] += mask.size
                if own_pixels[kept.categories[i]] > pixel_bins.MOST_EXACT_PIXELS:
                    keep = False
                    _count_kept(kept)
            if keep:
                kept.maps[i], kept.masks[i] = anomaly_map, small
                if original_size:
                    kept.original_masks.append(PackedMask(mask))
            else:
                _count(kept, i, anomaly_map, mask)
        if on_progress:
            on_progress(rows.stop, count)
    check.warn()
    value_ranges.finish()
    if trained_on:
        kept.unseen = set(kept.categories).difference(trained_on)
    return kept


def _by_own_category(look, categories):
    """The same `WhereToLook`, told what the data set says that images show."""

    def look_at(_, positions):
        return look([categories[i] for i in positions], positions)

    return look_at


def _keep_truth(kept, i, element):
    label, category = label_of(element, i), kept.categories[i]
    if label is None or category is None:
        missing = "label" if label is None else "category"
        raise ValueError(
            f"Element {i} of the data has no {missing!r}. An evaluation needs elements "
            "that are dicts with 'image', 'label' (0 normal, 1 anomalous) and "
            "'category'."
        )
    kept.labels[i] = label
    if label and element.get("mask") is None:
        kept.unmasked[category] += 1


def _original_mask(element, mask):
    """The mask at its own size, boolean; without one it is empty."""
    return np.zeros(np.shape(element["image"])[:2], bool) if mask is None else mask > 0


def _count_kept(kept):
    """Counts the maps that were kept at the images' own sizes, and lets them go."""
    for i, mask in enumerate(kept.original_masks):
        _count(kept, i, kept.maps[i], mask.unpack())
    kept.maps = kept.masks = None
    kept.original_masks = []


def _count(kept, i, anomaly_map, mask):
    if anomaly_map.shape != mask.shape:
        (anomaly_map,) = resize_maps(anomaly_map[None], [mask.shape])
    bins = kept.bins.setdefault(kept.categories[i], PixelBins())
    bins.update(mask[None], anomaly_map[None])
