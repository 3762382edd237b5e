"""Adds the products of a data set to the model of a finished run."""

import contextlib
import math
import warnings
from pathlib import Path
from typing import Any

import keras

from keras_rlr.datasets import FolderDataset
from keras_rlr.datasets.joined_dataset import JoinedDataset
from keras_rlr.detectors.describe_model import describe_model
from keras_rlr.detectors.feature_cache import FeatureCache
from keras_rlr.training.before_and_after import compared, figures_of, images_to_test
from keras_rlr.training.changed_run import ChangedRun
from keras_rlr.training.default_feature_cache import default_feature_cache
from keras_rlr.training.held_out_thresholds import (
    FALSE_POSITIVE_RATE,
    calibrate_held_out,
)
from keras_rlr.training.hold_out import hold_out
from keras_rlr.training.images_record import (
    content_hashes,
    write_run_images,
)
from keras_rlr.training.interruption import SignalGuard
from keras_rlr.training.run_folder import source_images
from keras_rlr.training.run_images import find_run_images

# Of the epochs that the recipe has for old and new products together: what the model
# knows of the old ones it keeps, and of the new ones it knows how features look.
SHARE_OF_EPOCHS = 0.5


def add_products(
    run: str | Path,
    data: Any,
    output: str | Path | None = None,
    categories: Any = None,
    epochs: int | None = None,
    old_data: Any = None,
    feature_cache: Any = None,
    callbacks: Any = (),
    on_progress: Any = None,
) -> dict[str, Any]:
    """Adds products to a run's model: what `keras-rlr train --add` does.

    Methods that learn by steps go on from the run's weights, on the images of the old
    products and the new ones together, for half of the recipe's epochs. A method that
    keeps patches (PatchCore) keeps those of the old products and gets more; PaDiM's
    Gaussians are taken anew from all images. The mean and spread by which features are
    standardised stay the run's. What products look like and all thresholds are taken
    anew from images of all products; images that the run held out stay held out.

    Nothing is written before the end: a run that is changed in place has its old model
    until the new one takes its name, and is kept in its folder `before`.

    Args:
        run: Folder of the finished run.
        data: Folder of the data set of new products.
        output: Folder for the changed run; None to change the run itself.
        categories: Names of the categories to add; None for all.
        epochs: Passes over all images, of methods that learn by steps.
        old_data: Folder that the run's own images are in now, if they were moved.
        feature_cache: As of `train`.
        callbacks: Keras callbacks.
        on_progress: Called with (images done, images in all) while images are tested.

    Returns:
        Dict: "model"; "config", of the changed run; "added", the new categories;
        "categories", of each figures "before" and "after", as far as there are test
        images; "stored", what a model of patches holds "before" and "after".

    Raises:
        FileNotFoundError: If there is no such run or data, or the run's own images are
            not there any more.
        FileExistsError: If `output` holds a run.
        ValueError: If a category is known already, or a setting is not possible.
        TrainingInterrupted: If a signal stopped it. The run is as it was.

    Example:

    ```python
    from keras_rlr.training.add_products import add_products

    added = add_products("runs/line", "new_product")
    added["categories"]["bottle"]
    ```
    """
    changed = ChangedRun(run, output)
    new = FolderDataset(data, "train", categories)
    model = changed.load()
    old_names = model.trained_categories
    _refuse_known(new.categories, old_names, changed.run.path)
    _check_epochs(model, epochs)
    settings = changed.config["settings"]
    new_fitted, new_held = hold_out(
        new, settings.get("calibration_fraction", 0.1), settings.get("seed", 0)
    )
    for i in range(len(new_held)):
        new_held[i]  # A damaged image is noticed before the work.
    old = find_run_images(changed.run, changed.config, old_names, old_data)
    _refuse_same_images(new, old)
    if "anomaly_source" in settings:
        model.take_anomalies_from(*source_images(settings["anomaly_source"]))
    fitted = JoinedDataset([*old.fitted.parts, new_fitted])
    held = JoinedDataset([*old.held.parts, new_held])
    place = Path(data).resolve()
    old_tests = images_to_test(old.parts)
    new_tests = images_to_test([(place, new.categories)])
    stored = {"before": model.described_size}
    with SignalGuard() as guard:
        before = figures_of(model, old_tests, on_progress)
        losses = _fit(
            model, fitted, new_fitted, settings, guard, epochs, feature_cache, callbacks
        )
        stored["after"] = model.described_size
        calibration = _calibrate(model, changed, held, fitted)
        tests = JoinedDataset([*old_tests.parts, *new_tests.parts])
        after = figures_of(model, tests, on_progress)
        config = {**changed.config, "model": describe_model(model)}
        config["calibration"] = calibration
        config["data"] = {
            **_described(changed.config["data"], fitted, held),
            "parts": [
                {"path": str(path), "categories": list(names)}
                for path, names in (*old.parts, (place, new.categories))
            ],
        }
        change = {
            "added": list(new.categories),
            "path": str(place),
            "epochs": len(losses),
            "losses": losses,
        }
        config["changes"] = [*changed.config.get("changes", ()), change]
        guard.deferring = True
        changed.write(model, config, lambda p: write_run_images(p, fitted, held))
    return {
        "model": model,
        "config": config,
        "added": list(new.categories),
        "categories": compared(before, after),
        "stored": stored,
        "kept": None if not changed.is_in_place else changed.run.path / "before",
        "output": changed.target.path,
    }


def _described(data, fitted, held):
    return {
        **data,
        "categories": sorted({*fitted.categories, *held.categories}),
        "training_images": len(fitted),
        "training_fingerprint": fitted.fingerprint(),
        "calibration_images": len(held),
        "calibration_fingerprint": held.fingerprint(),
    }


def _refuse_known(new, old, run):
    both = sorted(set(new) & set(old))
    if not both:
        return
    others = ",".join(sorted(set(new) - set(old)))
    choose = f"Choose the others with --categories {others}, or give" if others else ""
    raise ValueError(
        f"The model in '{run}' knows {', '.join(both)} already. {choose or 'Give'} new "
        "products names of their own; to learn from more images of a product that it "
        "knows, train on all of them anew."
    )


def _refuse_same_images(new, old):
    hashes = content_hashes([sample.image for sample in new.samples])
    again = [
        sample.path
        for sample, digest in zip(new.samples, hashes, strict=True)
        if digest in old.hashes
    ]
    if again:
        raise ValueError(
            f"{len(again)} of {len(new)} images in '{new.path}' are images that the "
            f"run was trained or calibrated on, by another name (the first: {again[0]})"
            ". Give images of new products."
        )


def _check_epochs(model, epochs):
    if not model.has_steps and epochs not in (None, 1):
        raise ValueError(
            f"{type(model).__name__} looks at each image once: more epochs change "
            f"nothing. Received epochs={epochs}; leave it out."
        )


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
        epochs = math.ceil(SHARE_OF_EPOCHS * model.recipe.epochs_for(steps))
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
            stacklevel=3,
        )
        return None
    if changed.is_calibrated:
        warnings.warn(
            "The run's thresholds were set by `keras-rlr calibrate`. They are set anew "
            "from the images that were held out of all products, for the same rate; "
            "call `keras-rlr calibrate` again to use other images.",
            stacklevel=3,
        )
    return calibrate_held_out(model, held, fitted, changed.rate or FALSE_POSITIVE_RATE)
