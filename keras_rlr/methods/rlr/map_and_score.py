"""RLR's anomaly map and score: of the error, the bank and what is usual."""

from keras import ops

from keras_rlr.detectors.feature_detector import mean_features
from keras_rlr.layers.anomaly_map import upsample_map


def map_and_score(model, error, features, tiles=None):
    """Returns what the model says of images.

    Args:
        model: The `RLR`.
        error: float32 tensor (batch, height, width), of the reconstruction.
        features: List of float32 tensors (batch, H, W, C), one a level.
        tiles: int32 tensor (batch or 1,): which tile of an image each is, or None.

    Returns:
        Dict, see `ReconstructionDetector.map_and_score`.
    """
    anomaly_map = error
    if model.memory_bank:
        distances = model.memory_bank(model.bank_tokens(features))
        anomaly_map = error_and_distance(error, distances, model.error_share)
    of_score = anomaly_map
    if model.usual_map:
        anomaly_map, of_score = model.usual_map(
            anomaly_map, mean_features(features), tiles
        )
    outputs = {"anomaly_score": model.anomaly_score(of_score)}
    if model.has_score_map:
        outputs["score_map"] = model.anomaly_score.smooth(of_score)
    if model.memory_bank:
        anomaly_map = model.anomaly_score.smooth(anomaly_map)
    return {"anomaly_map": anomaly_map, **outputs}


def error_and_distance(error, distances, share):
    """Returns the map of both: error^s · distance^(1 - s).

    Args:
        error: float32 tensor (batch, size, size).
        distances: float32 tensor (batch, height, width), what the bank returned.
        share: The exponent s.

    Returns:
        float32 tensor (batch, size, size).
    """
    distances = upsample_map(distances, error.shape[1:])
    # Rounding may leave less than 0. Not every runtime lets NaN through a maximum.
    both = ops.power(ops.abs(error) + 1e-12, share)
    return both * ops.power(distances + 1e-12, 1.0 - share)
