import importlib.util

from keras_rlr.cli.printing import say


def start_backend() -> None:
    """Finishes importing Keras and says on standard error which backend it uses.

    Says too if it can't use the GPU that it was installed for.
    """
    from keras_rlr.cli.standard_streams import hidden_standard_error

    with hidden_standard_error():
        import keras

        # Keras imports TensorFlow on every backend once it reads or copies a model.
        if importlib.util.find_spec("tensorflow"):
            import tensorflow  # noqa: F401

        from keras_rlr.devices import missing_gpu

        missing = missing_gpu()
    say(f"Backend: {keras.backend.backend()}", err=True)
    if missing:
        say(f"Warning: {missing}", err=True)
