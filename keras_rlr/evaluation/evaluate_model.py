import math
import warnings

import numpy as np

from keras_rlr.inputs.masks import to_square_mask
from keras_rlr.metrics import functional

METRICS = ("image_auroc", "pixel_auroc")


def evaluate_model(model, dataset, batch_size=16, on_progress=None):
    """Measures a model on the test images of one or more categories.

    The protocol of the literature on one model for many categories: AUROC of the
    images' anomaly scores and of the pixels of the unsmoothed anomaly maps, per
    category. Masks are resized to the model's image size by nearest neighbour at
    pixel centres, and anything above 0 is anomalous. "mean" averages the categories;
    "pooled" ranks the images (or pixels) of all of them together, which asks for one
    threshold that suits every category. Neither is chosen on, and nothing is flipped.

    Args:
        model: An `RLR` model, trained.
        dataset: Sequence of dicts with "image", "label" (0 or 1), "category" and,
            unless there is no ground truth, "mask" (height, width) of any size; for
            example a `FolderDataset` of the split "test".
        batch_size: Images predicted at a time.
        on_progress: Called with (images done, images in all) after every batch.

    Returns:
        A dict of fractions, `{"categories": {name: {"image_auroc": float,
        "pixel_auroc": float}}, "mean": {…}, "pooled": {…}}`. A figure that is
        undefined is NaN, with a warning, and is left out of the mean.

    Raises:
        ValueError: If the data set is empty or a mask is malformed.

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
    count = len(dataset)
    if not count:
        raise ValueError("The data set has no images, so there is nothing to evaluate.")
    size = model.image_size
    labels = np.zeros(count, bool)
    scores = np.zeros(count, "float32")
    categories = np.empty(count, object)
    maps = np.zeros((count, size, size), "float32")
    masks = np.zeros((count, size, size), bool)
    unmasked = set()
    for start in range(0, count, batch_size):
        rows = range(start, min(start + batch_size, count))
        elements = [dataset[i] for i in rows]
        output = model.predict(
            [element["image"] for element in elements],
            batch_size=batch_size,
            verbose=0,
        )
        scores[rows] = output["anomaly_score"]
        maps[rows] = output["anomaly_map"]
        for i, element in zip(rows, elements, strict=True):
            labels[i] = element["label"]
            categories[i] = element["category"]
            if element.get("mask") is not None:
                masks[i] = to_square_mask(element["mask"], size)
            elif labels[i]:
                unmasked.add(categories[i])
        if on_progress:
            on_progress(rows.stop, count)

    masked = np.array([name not in unmasked for name in categories])
    results = {}
    for name in sorted(set(categories)):
        rows = np.flatnonzero(categories == name)
        results[name] = {
            "image_auroc": _auroc(labels[rows], scores[rows]),
            "pixel_auroc": _auroc(masks[rows], maps[rows], name not in unmasked),
        }
    everything = masked.all()
    pooled = {
        "image_auroc": _auroc(labels, scores),
        # Indexing copies, which all the maps of a large data set should be spared.
        "pixel_auroc": _auroc(masks, maps)
        if everything
        else _auroc(masks[masked], maps[masked]),
    }
    _warn_of_undefined(results, unmasked)
    return {"categories": results, "mean": _mean(results), "pooled": pooled}


def _auroc(labels, scores, known=True):
    if not known or labels.all() or not labels.any():
        return math.nan
    return functional.auroc(labels, scores)


def _mean(results):
    mean = {}
    for metric in METRICS:
        values = [figures[metric] for figures in results.values()]
        defined = [value for value in values if not math.isnan(value)]
        mean[metric] = sum(defined) / len(defined) if defined else math.nan
    return mean


def _warn_of_undefined(results, unmasked):
    if unmasked:
        warnings.warn(
            f"No masks for {', '.join(sorted(unmasked))}: pixel AUROC is NaN there, "
            "and its mean and pooled figures are of the other categories.",
            stacklevel=3,
        )
    undefined = []
    for name, figures in results.items():
        kinds = [
            metric.split("_")[0]
            for metric, value in figures.items()
            if math.isnan(value) and not (metric == "pixel_auroc" and name in unmasked)
        ]
        if kinds:
            undefined.append(f"{name} ({', '.join(kinds)})")
    if undefined:
        warnings.warn(
            f"AUROC is NaN for {', '.join(undefined)}: it needs normal and anomalous "
            "ones. The means are of the other categories.",
            stacklevel=3,
        )
