import math
import warnings

import numpy as np

from keras_rlr.evaluation.test_predictions import predict_test_set
from keras_rlr.inputs.resize import resize_maps
from keras_rlr.metrics.functional import image_figures, pixel_figures
from keras_rlr.metrics.functional.figures import IMAGE_FIGURES, PIXEL_FIGURES
from keras_rlr.metrics.pixel_bins import PixelBins

FIGURES = (*IMAGE_FIGURES, *PIXEL_FIGURES)
MAP_SIZES = ("model", "original")


def evaluate_model(
    model, dataset, batch_size=16, map_size=None, fpr_limit=0.3, on_progress=None
):
    """Measures a model on the test images of one or more categories.

    The protocol of the literature on one model for many categories: figures of the
    images' anomaly scores, and of the pixels of the unsmoothed anomaly maps, per
    category. Masks are resized by nearest neighbour at pixel centres, and anything
    above 0 is anomalous. "mean" averages the categories; "pooled" ranks the images
    (or pixels) of all of them together, which asks for one threshold that suits every
    category. A model that recognises products ranks images by "comparable_score",
    others by "anomaly_score". Nothing is selected by the figures, nothing is flipped.

    Args:
        model: An `RLR` model, trained.
        dataset: Sequence of dicts with "image", "label" (0 or 1), "category" and,
            unless there is no ground truth, "mask" (height, width) of any size, which
            normal images need not have; for example a `FolderDataset` of the split
            "test". Of a category with an anomalous image without a mask the figures
            of pixels are NaN.
        batch_size: Images predicted at a time.
        map_size: "model" compares maps and masks at the model's image size, "original"
            at each image's own; None for the latter where the model looks at tiles. At
            original sizes the pooled figures of pixels are counted in bins. So are all
            figures of pixels, with a warning, where the maps, or those of a category
            at original sizes, have more pixels than 4096 of 256x256;
            "pooled_error_bounds" in the result says how exact the pooled ones are, and
            a warning if one is not to 1e-3. All others are exact.
        fpr_limit: False-positive rate where AUPRO's integration ends.
        on_progress: Called with (images done, images in all) after every batch.

    Returns:
        A dict of fractions, `{"categories": {name: {"image_auroc": float, "image_ap",
        "image_f1_max", "pixel_auroc", "pixel_ap", "pixel_f1_max", "pixel_aupro"}},
        "mean": {…}, "pooled": {…}}`. A figure that is undefined is NaN, with a
        warning, and is left out of the mean. "unseen_categories" names those that the
        model was not trained on, if there are any, with a warning.

    Raises:
        ValueError: If the data set is empty, a mask is malformed or marks pixels of
            a normal image, or an option is unknown.

    Example:

    ```python
    import keras, keras_rlr
    from keras_rlr.datasets import FolderDataset
    from keras_rlr.evaluation import evaluate_model

    model = keras.saving.load_model("runs/visa/model.keras")
    test = FolderDataset("visa", split="test")
    evaluate_model(model, test)["mean"]["image_auroc"]
    ```
    """
    map_size = resolve_map_size(model, map_size)
    predictions = predict_test_set(
        model, dataset, batch_size, map_size == "original", on_progress
    )
    return measure(predictions, fpr_limit)


def resolve_map_size(model, map_size):
    """Returns "model" or "original", at which size maps and masks are compared.

    Args:
        model: The detector.
        map_size: What the user gave, or None.

    Raises:
        ValueError: If it is another word.
    """
    if map_size is None:
        return "original" if getattr(model, "tiling", None) else "model"
    if map_size not in MAP_SIZES:
        raise ValueError(
            f"`map_size` must be 'model' or 'original'. Received: {map_size!r}."
        )
    return map_size


def measure(predictions, fpr_limit=0.3):
    """Returns the figures of `TestPredictions`, as `evaluate_model` does."""
    with warnings.catch_warnings():
        # One summary follows in place of a warning a category and figure.
        warnings.filterwarnings("ignore", ".* is undefined without both classes")
        results = {
            name: _category(predictions, name, fpr_limit) for name in predictions.names
        }
        pixels, bounds = _pooled_pixels(predictions, fpr_limit)
        images = image_figures(predictions.labels, predictions.pooled_scores)
        pooled = {**images, **pixels}
    _warn_of_unmasked(predictions)
    _warn_of_undefined(results, predictions.unmasked)
    result = {
        "categories": results,
        "mean": mean_figures(results.values()),
        "pooled": pooled,
    }
    if predictions.unseen:
        result["unseen_categories"] = sorted(predictions.unseen)
        _warn_of_unseen(result["unseen_categories"], len(results))
    if predictions.bins:
        _warn_of_bins(predictions, bounds, fpr_limit)
    if bounds:
        _warn_of_bounds(bounds)
        result["pooled_error_bounds"] = bounds
    return result


def _warn_of_unseen(unseen, count):
    warnings.warn(
        f"The model was not trained on {', '.join(unseen)} ({len(unseen)} of {count} "
        "categories): their figures, and the mean and pooled ones that hold them, say "
        "little of what it can do. Choose the others with --categories, or train on "
        "all.",
        stacklevel=3,
    )


def _category(predictions, name, fpr_limit):
    rows = predictions.rows(name)
    figures = image_figures(predictions.labels[rows], predictions.scores[rows])
    if name in predictions.unmasked:
        return {**figures, **_unknown_pixels()}
    if predictions.bins:
        return {**figures, **predictions.bins[name].figures(fpr_limit)}
    masks, maps = _pixels(predictions, rows)
    return {**figures, **pixel_figures(masks, maps, fpr_limit)}


def _pooled_pixels(predictions, fpr_limit):
    """The figures, and how far each may be from exact, {} if they are exact."""
    masked = [name for name in predictions.names if name not in predictions.unmasked]
    if not masked:
        return _unknown_pixels(), {}
    if not (predictions.original_masks or predictions.bins):
        masks, maps = predictions.masks, predictions.maps
        # Indexing copies, which all the maps of a large data set should be spared.
        if predictions.unmasked:
            rows = np.isin(predictions.categories.astype(str), masked)
            masks, maps = masks[rows], maps[rows]
        return pixel_figures(masks, maps, fpr_limit), {}
    bins = PixelBins()
    for name in masked:
        if predictions.bins:
            bins.add(predictions.bins[name])
            continue
        for i in predictions.rows(name):
            (mask,), (anomaly_map,) = _pixels(predictions, [i])
            bins.update(mask[None], anomaly_map[None])
    return bins.figures(fpr_limit), bins.error_bounds(fpr_limit)


def _warn_of_bins(predictions, bounds, fpr_limit):
    found = [*bounds.values()]
    for name, bins in predictions.bins.items():
        if name not in predictions.unmasked:
            found += bins.error_bounds(fpr_limit).values()
    defined = [bound for bound in found if not math.isnan(bound)]
    if defined:
        warnings.warn(
            f"{len(predictions.labels)} anomaly maps have too many pixels to be kept: "
            "all figures of pixels are counted in bins, and exact to "
            f"{max(defined):.1g}.",
            stacklevel=3,
        )


def _warn_of_bounds(bounds):
    rough = [f"{name} ±{bound:.2g}" for name, bound in bounds.items() if bound > 1e-3]
    if rough:
        warnings.warn(
            "Pooled figures of pixels at original sizes, or of too many to be kept, "
            "are counted in bins, and the maps' values lie too close together for "
            f"them: {', '.join(rough)}.",
            stacklevel=4,
        )


def _pixels(predictions, rows):
    if not predictions.original_masks:
        return predictions.masks[rows], predictions.maps[rows]
    masks = [predictions.original_masks[i].unpack() for i in rows]
    maps = resize_maps(predictions.maps[rows], [mask.shape for mask in masks])
    return masks, maps


def _unknown_pixels():
    return dict.fromkeys(PIXEL_FIGURES, math.nan)


def mean_figures(results):
    """Returns the mean of each figure over categories that define it.

    Args:
        results: Dicts of figures, one a category.
    """
    mean = {}
    for metric in FIGURES:
        values = [figures[metric] for figures in results]
        defined = [value for value in values if not math.isnan(value)]
        mean[metric] = sum(defined) / len(defined) if defined else math.nan
    return mean


def _warn_of_unmasked(predictions):
    missing = []
    for name, unmasked in sorted(predictions.unmasked.items()):
        anomalous = int(predictions.labels[predictions.rows(name)].sum())
        some = f" ({unmasked} of its {anomalous} anomalous images have none)"
        missing.append(name if unmasked == anomalous else name + some)
    if missing:
        warnings.warn(
            f"No masks for {', '.join(missing)}: the pixel figures are NaN there, and "
            "their mean and pooled ones are of the other categories.",
            stacklevel=4,
        )


def _warn_of_undefined(results, unmasked):
    undefined = []
    for name, figures in results.items():
        kinds = [
            kind
            for kind in ("image", "pixel")
            if math.isnan(figures[f"{kind}_auroc"])
            and not (kind == "pixel" and name in unmasked)
        ]
        if kinds:
            undefined.append(f"{name} ({', '.join(kinds)})")
    if undefined:
        warnings.warn(
            f"Figures are NaN for {', '.join(undefined)}: they need normal and "
            "anomalous ones. The means are of the other categories.",
            stacklevel=4,
        )
