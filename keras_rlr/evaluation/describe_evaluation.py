import hashlib
import json
from typing import Any

import numpy as np

from keras_rlr.detectors.describe_model import describe_model
from keras_rlr.detectors.weights_version import weights_version
from keras_rlr.environment import describe_environment
from keras_rlr.evaluation.confusion import confusion
from keras_rlr.image_size import checked_image_size
from keras_rlr.metrics.functional import image_figures

_LAST_EPOCH = (
    "The model is that of the last epoch: nothing was selected on the test set."
)
_UNKNOWN_EPOCH = (
    "The model was evaluated as it is; how it was trained, and whether it was selected "
    "on the test set, is not known here."
)
_BEST_EPOCH = (
    "SELECTED ON THE TEST SET, as the paper's authors do: of the epochs that were "
    "tested, the ones with the best mean image AUROC and, separately, the best mean "
    "pixel AUROC on these very images. Such figures are higher than what new images "
    "will give."
)


# Where `measure` ends the integration of AUPRO unless it is told otherwise.
_FPR_LIMIT = 0.3


def describe_evaluation(
    model,
    dataset,
    predictions,
    result,
    map_size="model",
    run=None,
    best_epochs=None,
    regions=None,
):
    """Everything that `metrics.json` holds of an evaluation.

    Args:
        model: The `RLR` model.
        dataset: The `FolderDataset` of test images.
        predictions: `TestPredictions`.
        result: The result of `measure`.
        map_size: At which size pixels were compared, "model" or "original".
        run: The `config.json` of the training run, or None if it is unknown.
        best_epochs: (epoch of the image figures, epoch of the pixel figures) if they
            were selected on the test set.
        regions: Of each image its own region of interest as text, or None; None if
            there were no masks by image.

    Returns:
        The result with "thresholds", "confusion", "protocol", "model",
        "model_version" (of its weights), "training", "data" and "environment", fit
        for JSON. Of a model that recognises products "recognition" has how many test
        images of these it named right and how many it took for none, how many images
        of other products there are and how many of them it took for none, as is right;
        and "pooled_by_anomaly_score" the pooled figures of images by the raw score.
    """
    thresholds = {name: model.thresholds.of(name) for name in predictions.names}
    epochs = None if run is None else run.get("trained_epochs")
    if best_epochs is not None:
        epochs, words = list(best_epochs), _BEST_EPOCH
    else:
        words = _UNKNOWN_EPOCH if run is None else _LAST_EPOCH
    recognition: dict[str, Any] = {}
    if predictions.recognized is not None:
        recognition["recognition"] = _recognition(model, predictions)
        recognition["pooled_by_anomaly_score"] = image_figures(
            predictions.labels, predictions.scores
        )
    by_image: dict[str, Any] = {}
    if regions is not None:
        digest = hashlib.sha256(json.dumps(regions).encode()).hexdigest()
        by_image["images_with_a_mask"] = sum(each is not None for each in regions)
        by_image["masks_fingerprint"] = digest
    return {
        **result,
        **recognition,
        "thresholds": thresholds,
        "confusion": confusion(predictions, thresholds),
        "protocol": {
            "words": words,
            "epoch": epochs,
            "selected_on_test_set": best_epochs is not None,
            "map_size": checked_image_size(model.map_size)
            if map_size == "model"
            else "original",
            "aupro_false_positive_rate_limit": _FPR_LIMIT,
            **by_image,
        },
        "model": describe_model(model),
        "model_version": weights_version(model),
        "training": None if run is None else run["training"],
        "data": {
            "path": str(dataset.path),
            "layout": dataset.layout,
            "images": len(dataset),
            "fingerprint": dataset.fingerprint(),
        },
        "environment": describe_environment(),
    }


def _recognition(model, predictions):
    right = predictions.recognized == predictions.categories
    is_none = np.array([name is None for name in predictions.recognized], bool)
    known = np.isin(predictions.categories.astype(str), model.known_categories)
    return {
        "images": int(known.sum()),
        "right": int(right.sum()),
        "unknown": int(is_none[known].sum()),
        "of_other_products": int((~known).sum()),
        "other_products_unknown": int(is_none[~known].sum()),
    }
