"""How a finished run learns from more images, of new products or of its own."""

import contextlib
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras

from keras_rlr.datasets import FolderDataset
from keras_rlr.datasets.joined_dataset import JoinedDataset
from keras_rlr.detectors.describe_model import describe_model
from keras_rlr.detectors.feature_cache import FeatureCache
from keras_rlr.training.before_and_after import compared, figures_of, images_to_test
from keras_rlr.training.changed_run import ChangedRun
from keras_rlr.training.default_feature_cache import default_feature_cache
from keras_rlr.training.held_out_thresholds import calibrate_held_out
from keras_rlr.training.images_record import describe_images, write_run_images
from keras_rlr.training.interruption import SignalGuard
from keras_rlr.training.run_folder import source_images
from keras_rlr.training.run_images import RunImages, RunPart

# Of the epochs that the run was given, or that the recipe has for old and new images
# together: what the model knows of the old ones it keeps, and of the new ones it knows
# how features look.
SHARE_OF_EPOCHS = 0.5


@dataclass(frozen=True)
class NewImages:
    """What a run is to learn from.

    Args:
        fitted: Data set of the images to train on.
        held: Data set of the images to set thresholds by.
        part: Where they lie.
        change: What `config.json` notes of the change.
        keep: Called before the run is written.
        judge: Called before and after; what it returns is in the result.
    """

    fitted: FolderDataset
    held: FolderDataset
    part: RunPart
    change: dict[str, Any]
    keep: Callable[[], Any] = lambda: None
    judge: Callable[[], Any] = lambda: None


def extend_run(
    changed: ChangedRun,
    model: Any,
    old: RunImages,
    new: NewImages,
    epochs: int | None = None,
    feature_cache: Any = None,
    callbacks: Any = (),
    on_progress: Any = None,
) -> dict[str, Any]:
    """Trains a run's model on more images, sets its thresholds and writes the run.

    Args:
        changed: The run.
        model: Its model.
        old: Its own images.
        new: The `NewImages`.
        epochs: See `keras_rlr.training.add_products.add_products`; so are the others.
        feature_cache: See `epochs`.
        callbacks: See `epochs`.
        on_progress: See `epochs`.

    Returns:
        Dict: "model"; "config", of the changed run; "categories", of each figures
        "before" and "after"; "stored" and "judged", the same of what a model of
        patches holds and of what `judge` says; "kept", the folder of the run as it
        was, or None; "output".

    Raises:
        TrainingInterrupted: If a signal stopped it. The run is as it was.
    """
    settings = changed.config["settings"]
    if "anomaly_source" in settings:
        model.take_anomalies_from(*source_images(settings["anomaly_source"]))
    fitted = JoinedDataset([*old.fitted.parts, new.fitted])
    held = JoinedDataset([*old.held.parts, new.held])
    # What people marked has no test images.
    old_tests = images_to_test(
        [(part.path, part.categories) for part in old.parts if not part.is_feedback]
    )
    tests = old_tests
    if not new.part.is_feedback:
        own = images_to_test([(new.part.path, new.part.categories)])
        tests = JoinedDataset([*old_tests.parts, *own.parts])
    stored = {"before": model.described_size}
    with SignalGuard() as guard:
        before = figures_of(model, old_tests, on_progress)
        judged = {"before": new.judge()}
        losses = _fit(
            model, fitted, new.fitted, settings, guard, epochs, feature_cache, callbacks
        )
        stored["after"] = model.described_size
        calibration = _calibrate(model, changed, held, fitted)
        after = figures_of(model, tests, on_progress)
        judged["after"] = new.judge()
        config = {**changed.config, "model": describe_model(model)}
        config["calibration"] = calibration
        config["data"] = {
            **_described(changed.config["data"], fitted, held),
            "parts": [part.as_json() for part in _joined(old.parts, new.part)],
        }
        change = {**new.change, "epochs": len(losses), "losses": losses}
        config["changes"] = [*changed.config.get("changes", ()), change]
        guard.deferring = True
        new.keep()
        changed.write(model, config, lambda p: write_run_images(p, fitted, held))
    return {
        "model": model,
        "config": config,
        "categories": compared(before, after),
        "stored": stored,
        "judged": judged,
        "kept": changed.kept,
        "output": changed.target.path,
    }


def check_epochs(model: Any, epochs: int | None) -> None:
    """Refuses more than one epoch of a method that looks at each image once.

    Args:
        model: The detector.
        epochs: What the user gave.

    Raises:
        ValueError: If it makes no sense.
    """
    if not model.has_steps and epochs not in (None, 1):
        raise ValueError(
            f"{type(model).__name__} looks at each image once: more epochs change "
            f"nothing. Received epochs={epochs}; leave it out."
        )


def _joined(parts, new):
    """The parts and a new one; what people marked is one part."""
    same = [part for part in parts if new.is_feedback and part.is_feedback]
    others = [part for part in parts if part not in same]
    names = {*new.categories, *(name for part in same for name in part.categories)}
    return [*others, RunPart(new.path, tuple(sorted(names)), new.is_feedback)]


def _described(data, fitted, held):
    return {
        **data,
        "categories": sorted({*fitted.categories, *held.categories}),
        **describe_images(fitted, held),
    }


class _HeedSignals(keras.callbacks.Callback):
    """Stops between two steps if a signal came, and notes the losses."""

    def __init__(self, guard):
        super().__init__()
        self.guard = guard
        self.losses = []

    def on_train_batch_begin(self, batch, logs=None):
        self.guard.check()

    def on_epoch_end(self, epoch, logs=None):
        self.losses.append(float(logs["loss"]))


def _fit(model, fitted, new, settings, guard, epochs, feature_cache, callbacks):
    """Trains; returns the loss of each epoch."""
    heed = _HeedSignals(guard)
    adds = model.adds_to_what_it_stores
    dataset = new if adds else fitted
    batch_size = settings.get("batch_size", model.default_batch_size)
    count = len(dataset) * model.parts_each
    if epochs is None and model.has_steps:
        steps = math.ceil(count / batch_size)
        of_run = settings.get("epochs") or model.recipe.epochs_for(steps)
        epochs = math.ceil(SHARE_OF_EPOCHS * of_run)
    if "learning_rate" in settings:
        model.optimizer.learning_rate = settings["learning_rate"]
    with contextlib.ExitStack() as stack:
        cache = None
        if feature_cache:
            cache = FeatureCache.of(feature_cache)
        elif model.profits_from_cache:
            augmentation = getattr(model, "augmentation", ())
            cache = stack.enter_context(
                default_feature_cache(model, count, augmentation=augmentation)
            )
        if adds:
            stack.enter_context(model.storing_more())
        guard.deferring = True
        model.fit(
            dataset,
            epochs=epochs or 1,
            batch_size=batch_size,
            feature_cache=cache,
            callbacks=[*callbacks, heed],
            verbose=0,
        )
        guard.check()
        guard.deferring = False
    return heed.losses


def _calibrate(model, changed, held, fitted):
    if not len(held):
        warnings.warn(
            f"The run in '{changed.run.path}' held no images out, so there is nothing "
            "to set thresholds by, and the model has none now. Set them with "
            "`keras-rlr calibrate`.",
            stacklevel=4,
        )
        return None
    changed.announce_thresholds_anew()
    return calibrate_held_out(model, held, fitted, changed.rate)
