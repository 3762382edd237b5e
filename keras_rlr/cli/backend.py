import importlib.util

import click


def start_backend():
    """Finishes importing Keras and says on standard error which backend it uses."""
    from keras_rlr.cli.standard_streams import hidden_standard_error

    with hidden_standard_error():
        import keras

        # Keras imports TensorFlow on every backend once it reads or copies a model.
        if importlib.util.find_spec("tensorflow"):
            import tensorflow  # noqa: F401

    click.echo(f"Backend: {keras.backend.backend()}", err=True)
