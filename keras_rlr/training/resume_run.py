"""What a run that is resumed goes on from: its model, where it stood, and its data."""

from typing import Any

from keras_rlr.datasets import FolderDataset
from keras_rlr.detectors.anomaly_detector import AnomalyDetector
from keras_rlr.processes import told
from keras_rlr.training.images_record import holds_images
from keras_rlr.training.run_folder import RunFolder, new_model
from keras_rlr.training.training_state import TrainingState


def resumed_model(
    run: RunFolder, settings: dict[str, Any]
) -> tuple[AnomalyDetector, TrainingState | None]:
    """Returns the model of a run's newest checkpoint, and where its training stood.

    Before there is a checkpoint it is a new model. Of a run that is done, and has none
    any more, it is the model that was trained.

    Args:
        run: The `RunFolder`.
        settings: The run's settings.

    Returns:
        The model, and the `TrainingState` or None where a version before noted none.

    Raises:
        ValueError: If the checkpoints are damaged.
    """
    path, notes = told(lambda: _newest(run))
    if path is None:
        return new_model(settings), None
    model = AnomalyDetector.from_preset(path, distribution=settings.get("distribution"))
    if notes is None:
        # A model without its optimizer's state has the rate of the recipe.
        if "learning_rate" in settings:
            model.optimizer.learning_rate = settings["learning_rate"]
        return model, None
    state = TrainingState.from_dict(notes)
    model.optimizer.learning_rate = state.learning_rate
    return model, state


def is_done(run: RunFolder) -> bool:
    """Whether a run was trained to its end, and its checkpoints were removed then."""
    return bool(told(lambda: run.model.is_file() and not run.checkpoints.found()))


def _newest(run):
    newest = run.checkpoints.newest()
    if newest is not None:
        path, state = newest
        return str(path), state and state.to_dict()
    return (str(run.model) if run.model.is_file() else None), None


def check_same_data(
    run: RunFolder,
    before: dict[str, Any],
    now: dict[str, Any],
    fitted: FolderDataset,
    held: FolderDataset,
) -> None:
    """Refuses to resume a run with other images; copies of the same will do.

    Args:
        run: The `RunFolder`.
        before: What its configuration says of the data.
        now: The same of the data that is given.
        fitted: `FolderDataset` of the images to train on.
        held: `FolderDataset` of the images to calibrate on.

    Raises:
        ValueError: If they are not those that the run was begun with.
    """
    names = ("training_fingerprint", "calibration_fingerprint")
    if all(before.get(name) == now[name] for name in names):
        return
    # Copies have other times of change.
    if told(lambda: holds_images(run.images, fitted, held)):
        return
    raise ValueError(
        f"The images in '{now['path']}' are not those that the run in '{run.path}' was "
        "begun with (names or contents differ, or there is no images.csv to tell by). "
        "Restore them, or begin another run with another --output."
    )


def check_history(
    run: RunFolder, history: list[dict[str, Any]], done: int, epochs: int | None
) -> None:
    """Refuses to resume a run whose files don't allow what is asked for.

    Args:
        run: The `RunFolder`.
        history: The rows of its epochs.
        done: How many are done.
        epochs: Of a run that is done and has no checkpoints, how many there are to be;
            None of another.

    Raises:
        ValueError: If rows miss, or checkpoints that were removed.
    """
    if len(history) < done:
        raise ValueError(
            f"'{run.history}' has {len(history)} epochs, and the run's checkpoint "
            f"{done}. Restore it, or begin another run with another --output."
        )
    if epochs is not None and epochs > done:
        raise ValueError(
            f"The run in '{run.path}' was done after {done} epochs, and its "
            f"checkpoints were removed then, so it can't be trained for {epochs}. "
            "Begin another run with another --output."
        )
