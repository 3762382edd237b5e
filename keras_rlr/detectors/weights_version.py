import hashlib

import numpy as np
from keras import ops


def weights_version(model):
    """Returns twelve hexadecimal digits that change with any weight of a model.

    Thresholds are not among them: a model that is calibrated anew scores as before.
    """
    digest = hashlib.sha256()
    thresholds = {weight.path for weight in model.thresholds.weights}
    for weight in model.weights:
        if weight.path not in thresholds:
            value = np.ascontiguousarray(ops.convert_to_numpy(weight))
            if value.dtype.name == "bfloat16":  # Which PyTorch's arrays can't be.
                value = value.astype("float32")
            digest.update(value.tobytes())
    return digest.hexdigest()[:12]
