import hashlib
import json

from keras import ops


def features_fingerprint(model):
    """Tells whether two models make the same features of an image.

    Args:
        model: An `RLR` model.

    Returns:
        Hexadecimal SHA-256 of what features depend on: backbone, image size, levels
        and the statistics of the standardisation. Reconstructors don't count.
    """
    digest = hashlib.sha256()
    settings = {
        "backbone": model.backbone_name,
        "levels": model.levels,
        "image_size": model.image_size,
        "standardize_features": model.standardize_features,
    }
    digest.update(json.dumps(settings, sort_keys=True).encode())
    weights = list(model.feature_extractor.weights)
    if model.standardize_features:
        weights += [w for layer in model.standardizations for w in layer.weights]
    for weight in weights:
        digest.update(ops.convert_to_numpy(weight).tobytes())
    return digest.hexdigest()
