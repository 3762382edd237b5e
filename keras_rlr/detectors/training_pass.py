"""What `AnomalyDetector.fit` does before and after the batches are trained on."""

import contextlib
import warnings

import keras

from keras_rlr.category_names import known_names
from keras_rlr.checked_numbers import whole_number
from keras_rlr.detectors.compiling import is_of_recipe
from keras_rlr.detectors.continued_epoch import ContinuedEpoch
from keras_rlr.detectors.decision_thresholds import DecisionThresholds
from keras_rlr.detectors.on_tiles import training_source
from keras_rlr.detectors.training_callbacks import (
    EpochOrder,
    RateOfEpoch,
    StopAtNan,
    Validation,
    steps_taken,
)
from keras_rlr.detectors.weights_version import weights_version
from keras_rlr.inputs.endless import refuse_endless
from keras_rlr.inputs.image_source import BatchList, ImageSource
from keras_rlr.inputs.proportions import announce_changed_proportions
from keras_rlr.torch_processes import copy_first


def train(
    model,
    source,
    epochs,
    callbacks,
    validation_split,
    validation_data,
    shuffle,
    class_weight,
    initial_epoch,
    steps_per_epoch,
    validation_steps,
    validation_batch_size,
    validation_freq,
    feature_cache,
    verbose,
):
    """Trains a detector; arguments and result as of `AnomalyDetector.fit`.

    Args:
        model: The detector.
        source: The `ImageSource`.
        epochs: See `fit`, as are all that follow.
        callbacks: See `fit`.
        validation_split: See `fit`.
        validation_data: See `fit`.
        shuffle: See `fit`.
        class_weight: See `fit`.
        initial_epoch: See `fit`.
        steps_per_epoch: See `fit`.
        validation_steps: See `fit`.
        validation_batch_size: See `fit`.
        validation_freq: See `fit`.
        feature_cache: See `fit`.
        verbose: See `fit`.
    """
    _refuse_compact(model)
    _refuse_class_weight(class_weight)
    or_none = ", or None for those of the recipe"
    if epochs is not None:
        epochs = whole_number("epochs", epochs, 1, of="passes", otherwise=or_none)
    initial_epoch = whole_number("initial_epoch", initial_epoch, 0, of="passes")
    if steps_per_epoch is not None:
        steps_per_epoch = whole_number(
            *("steps_per_epoch", steps_per_epoch, 1),
            of="batches",
            otherwise=", or None for all",
        )
    _refuse_more_than_one_pass(model, epochs, initial_epoch)
    if validation_split:
        source, validation_data = _split(source, validation_split, validation_data)
    if feature_cache is None and steps_per_epoch is None:
        refuse_endless(source, "an epoch", "steps_per_epoch")
    if initial_epoch == 0:
        is_turned = "rotate" in getattr(model, "augmentation", ())
        announce_changed_proportions(
            source, model.map_size, model.tiling is not None, is_turned
        )
    source = training_source(model, source)
    model.follow_distribution()
    announce_empty_places(source.batch_size, model.device_count)
    callbacks = keras.tree.flatten(callbacks or [])
    continued = [each for each in callbacks if isinstance(each, ContinuedEpoch)]
    passed_over = continued[0].batch if continued else 0
    validation = []
    if validation_data is not None:
        size = validation_batch_size
        validation.append(
            Validation(
                validation_data,
                validation_steps,
                source.batch_size if size is None else size,
                validation_freq,
                callbacks,
            )
        )
    with _thresholds_forgotten(model), _first_look_forgotten(model):
        batches = model.training_batches(
            source,
            feature_cache,
            steps_per_epoch,
            seed=model.seed,
            first_epoch=initial_epoch,
            first_step=steps_taken(model),
            first_batch=passed_over,
            shuffle=shuffle,
            with_tiles=model.tiles_aligned,
            **model.places,
        )
        for each in continued:
            each.go_on_in(batches, steps_per_epoch)
        steps = steps_per_epoch or batches.num_batches
        recipe = model.recipe
        epochs = recipe.epochs_for(steps) if epochs is None else epochs
        rate_of_epoch = RateOfEpoch(recipe, epochs)
        own_callbacks = [StopAtNan(passed_over), EpochOrder(batches)]
        if recipe.has_schedule and is_of_recipe(model.optimizer, recipe):
            own_callbacks.append(rate_of_epoch)
        with model.scope():
            # Else TensorFlow traces the first step twice.
            model.optimizer.build(model.trainable_variables)
        copy_first([*model.variables, *model.optimizer.variables])
        model.is_fitting = True
        try:
            history = model.run(
                model.fit_batches,
                batches,
                epochs=epochs,
                verbose=verbose,
                callbacks=[*own_callbacks, *validation, *callbacks],
                initial_epoch=initial_epoch,
                steps_per_epoch=steps_per_epoch,
            )
        finally:
            model.is_fitting = False
            rate_of_epoch.on_epoch_end()
    # Moving averages may be each process's own.
    copy_first(model.non_trainable_variables)
    model.look_back(batches, steps_per_epoch)
    before = model.trained_categories
    seen = {*before, *known_names(sorted(batches.categories), before)}
    model.trained_categories = tuple(sorted(seen))
    return history


@contextlib.contextmanager
def _thresholds_forgotten(model):
    """Without thresholds; they come back if the context fails and changed no weight."""
    if model.threshold is None:
        yield
        return
    with model.scope():
        kept = DecisionThresholds(name="kept")
    kept.copy_from(model.thresholds)
    before = weights_version(model)
    model.thresholds.forget()
    try:
        yield
    except BaseException:
        if weights_version(model) == before:
            model.thresholds.copy_from(kept)
        raise


@contextlib.contextmanager
def _first_look_forgotten(model):
    """The first look at images is given up if the context fails before any step.

    Else a model whose training was refused or stopped at once would keep statistics of
    those images, and the next training, on others, would take none.
    """
    if model.has_looked:
        yield
        return
    before = steps_taken(model)
    try:
        yield
    except BaseException:
        if steps_taken(model) == before:
            model.forget_first_look()
        raise


def one_training_batch(model, x, y, sample_weight, class_weight):
    """Returns the batch of `AnomalyDetector.train_on_batch`, a dict of arrays.

    Args:
        model: The detector.
        x: See `train_on_batch`, as are all that follow.
        y: See `train_on_batch`.
        sample_weight: See `train_on_batch`.
        class_weight: See `train_on_batch`.
    """
    _refuse_compact(model)
    _refuse_class_weight(class_weight)
    model.check_ready()
    source = ImageSource(x, 1, y, sample_weight)
    refuse_endless(source, "one batch", "fit(steps_per_epoch)")
    elements = [element for batch in source.batches() for element in batch]
    batches = model.training_batches(
        training_source(model, BatchList([elements], len(elements))),
        None,
        None,
        seed=model.seed,
        first_step=steps_taken(model),
        shuffle=False,
        with_tiles=model.tiles_aligned,
        **model.places,
    )
    ((batch,),) = batches.generate()
    return batch


def announce_empty_places(batch_size, devices):
    """Warns where devices wait in every step for images that are not there.

    Args:
        batch_size: Images a batch.
        devices: Number of devices that share it.
    """
    empty = -batch_size % devices
    if empty:
        places = "1 place" if empty == 1 else f"{empty} places"
        warnings.warn(
            f"Batches of {batch_size} images are shared by {devices} devices unevenly: "
            f"{places} of {batch_size + empty} hold no image of their own. Give a "
            f"`batch_size` that {devices} divides.",
            stacklevel=4,
        )


def _refuse_compact(model):
    if model.is_compact:
        raise ValueError(
            "A compact model is for inference: what was folded can't be trained. "
            "Train the model that `compact()` was called on."
        )


def _refuse_class_weight(class_weight):
    if class_weight is not None:
        raise ValueError(
            "`class_weight` has no meaning here: in training all images are normal, "
            "one class, and all count alike. Leave it out."
        )


def _refuse_more_than_one_pass(model, epochs, initial_epoch):
    if not model.has_steps and (epochs not in (None, 1) or initial_epoch):
        raise ValueError(
            f"{type(model).__name__} looks at each image once: more epochs change "
            f"nothing. Received epochs={epochs}, initial_epoch={initial_epoch}; "
            "leave both out."
        )


def _split(source, share, validation_data):
    """The first images for training, the last ones for validation."""
    if validation_data is not None:
        raise ValueError(
            "Give `validation_split` or `validation_data`, not both: either says what "
            "is evaluated after every epoch."
        )
    if not source.is_indexed:
        raise ValueError(
            "`validation_split` needs data with a length and an index, and "
            f"{type(source.data).__name__} has none. Give `validation_data`."
        )
    count = len(source.data)
    first = count - round(count * share) if 0 < share < 1 else 0
    if not 0 < first < count:
        raise ValueError(
            "`validation_split` must leave images on both sides: it is a share between "
            f"0 and 1. Received {share!r} of {count} images."
        )
    return source.part(0, first), source.part(first, count)
