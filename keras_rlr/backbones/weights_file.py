"""Loading a file of weights that a user named."""

from pathlib import Path

import keras


def load_weights_file(model: keras.Model, path: str | Path, name: str) -> None:
    """Loads weights into a complete backbone.

    Args:
        model: the model, complete but for its classification top.
        path: a Keras `.weights.h5`, or an `.h5` file in Keras' older format.
        name: the backbone's name, for the messages.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file can't be read or belongs to another model.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"There is no weights file '{path}' for the backbone '{name}'. Expected "
            "backbone_weights to be 'imagenet', None or the path of a Keras "
            ".weights.h5 or .h5 file without the classification top."
        )
    try:
        model.load_weights(path)
    # h5py and Keras raise half a dozen types for the many ways to be wrong.
    except Exception as error:
        raise ValueError(
            f"The file '{path}' does not hold the weights of the backbone '{name}' "
            f"({error}). Expected a Keras .weights.h5 or .h5 file of the whole "
            "network without its classification top (keras.applications' "
            "'notop' file)."
        ) from error
