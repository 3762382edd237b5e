import click

from keras_rlr.cli.printing import say


def start_backend(with_others: bool = False) -> None:
    """Finishes importing Keras and says on standard error which backend it uses.

    Says too if it can't use the GPU that it was installed for.

    Args:
        with_others: Whether several processes may do the command's work together.

    Raises:
        click.UsageError: If there are several and they may not.
    """
    from keras_rlr.cli.standard_streams import hidden_standard_error

    with hidden_standard_error():
        import keras

        from keras_rlr import processes
        from keras_rlr.devices import missing_gpu
        from keras_rlr.keras_private import import_tensorflow

        import_tensorflow()

        if with_others:
            # Before anything asks for the backend's devices.
            processes.join()
        elif processes.expected() > 1:
            raise click.UsageError(
                f"The environment says that {processes.expected()} processes work "
                "together, which only `keras-rlr train` does. Start this command once, "
                "without torchrun and KERAS_DISTRIBUTION_* variables."
            )

        missing = missing_gpu()
    number, count = processes.shard() if with_others else (0, 1)
    who = f", process {number} of {count}" if count > 1 else ""
    say(f"Backend: {keras.backend.backend()}{who}", err=True)
    if missing:
        say(f"Warning: {missing}", err=True)
