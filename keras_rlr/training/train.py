import contextlib
import math
import warnings
from pathlib import Path
from typing import Any

from keras_rlr import processes
from keras_rlr.atomic_change import changed_together
from keras_rlr.category_names import known_name
from keras_rlr.datasets import FolderDataset
from keras_rlr.detectors.anomaly_detector import AnomalyDetector
from keras_rlr.detectors.continued_epoch import ContinuedEpoch
from keras_rlr.detectors.describe_model import describe_model
from keras_rlr.detectors.feature_cache import FeatureCache
from keras_rlr.detectors.save_model import save_without_optimizer
from keras_rlr.detectors.training_callbacks import learning_rate_of, steps_taken
from keras_rlr.environment import describe_environment
from keras_rlr.training.checkpointing import Checkpointing
from keras_rlr.training.checkpoints import DEFAULT_KEPT
from keras_rlr.training.default_feature_cache import default_feature_cache
from keras_rlr.training.held_out_thresholds import calibrate_held_out
from keras_rlr.training.hold_out import hold_out
from keras_rlr.training.images_record import describe_images, write_run_images
from keras_rlr.training.interruption import SignalGuard
from keras_rlr.training.resume_run import (
    check_history,
    check_same_data,
    is_done,
    resumed_model,
)
from keras_rlr.training.run_folder import (
    RunFolder,
    new_model,
    run_settings,
    source_images,
)


def train(
    data: Any,
    output: str | Path,
    categories: Any = None,
    method: str | None = None,
    preset: str | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    learning_rate: Any = None,
    seed: int | None = None,
    calibration_fraction: Any = None,
    resume: bool = False,
    callbacks: Any = (),
    feature_cache: Any = None,
    anomaly_source: str | Path | None = None,
    checkpoint_every: int | None = None,
    keep_checkpoints: int | None = None,
    **model_arguments: Any,
) -> dict[str, Any]:
    """Trains one model on all categories of a data set: what `keras-rlr train` does.

    A share of the normal images is held out to calibrate the threshold on, because
    images a model was trained on score lower than new ones. The run's folder gets
    `model.keras` (without the optimizer's state), `history.csv`, `config.json`,
    `environment.json`, `images.csv` (which image was for what, by content) and, while
    it trains, `checkpoint.keras` after every epoch.
    SIGINT and SIGTERM stop it after the current step; resumed, it repeats the epoch
    it was in, or with `checkpoint_every` goes on inside of it, and then has the losses
    and weights of a run that was never stopped. Of several processes, see
    `keras_rlr.processes`, each has to call it alike; the first one writes the run.

    Args:
        data: The folder of a data set, in any layout that `FolderDataset` reads.
        output: The run's folder.
        categories: Names of the categories to train on; None for all.
        method: Name of a method, as of `keras_rlr.methods.by_name`; by default the
            preset's, or "rlr".
        preset: Name of a preset; by default the one that suits `backbone`.
        epochs: Passes over the images; None for as many as the recipe asks for.
        batch_size: Images a step, of all devices; None for the recipe's, or the next
            larger number that they divide.
        learning_rate: Of Adam; None for the recipe's.
        seed: Seed of everything random; None for 0.
        calibration_fraction: Share of each category that is held out; None for 0.1.
        resume: Whether to continue the run in `output`. Settings left at None are
            then the run's; other values are refused, but `epochs` may grow.
        callbacks: Keras callbacks.
        feature_cache: As of `RLR.fit`; by default in memory up to 2 GiB, and beyond
            that in a folder of the run, which is removed when it is done.
        anomaly_source: Of a method that makes anomalies itself, a folder of images
            that they are taken from; by default they are painted.
        checkpoint_every: Steps after which the run's state is written inside of an
            epoch too, as `checkpoint-STEP.keras`, and at a signal. These files, which
            take the place of `checkpoint.keras`, are removed when the run is done; it
            can't be made longer then. None for at the end of an epoch alone.
        keep_checkpoints: How many of those are kept, the newest; None for 2: should one
            be damaged, the training goes on from the one before.
        **model_arguments: Arguments of the method's class that override the preset's.
            None leaves the preset's value.

    Returns:
        Dict: "model", the trained detector; "history", a list of dicts of epoch, loss
        and seconds; "config", the content of `config.json`.

    Raises:
        FileNotFoundError: If there is no such data, or no run to resume.
        FileExistsError: If `output` holds a run and `resume` is off, or another process
            is training it.
        ValueError: If a setting is not possible or the data is no data set.
        ConnectionError: If another process of the training is lost.
        FloatingPointError: If the training diverges.
        TrainingInterrupted: If a signal stopped it.

    Example:

    ```python
    from keras_rlr.training import train

    run = train("visa", "runs/visa", backbone="efficientnet_lite2", epochs=2)
    run["model"].threshold
    ```
    """
    run = RunFolder(output)
    given = {
        "categories": None if categories is None else sorted(set(categories)),
        "method": method,
        "preset": preset,
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "seed": seed,
        "calibration_fraction": calibration_fraction,
        "anomaly_source": anomaly_source,
        "checkpoint_every": checkpoint_every,
        "keep_checkpoints": keep_checkpoints,
        **model_arguments,
    }
    processes.check_same("settings", {**given, "resume": resume})
    settings = processes.told(lambda: run_settings(given, run, resume))

    def read():
        dataset = FolderDataset(data, "train", categories=settings.get("categories"))
        fraction = settings["calibration_fraction"]
        fitted, held = hold_out(dataset, fraction, settings["seed"])
        # A damaged image among these would otherwise surface after all the epochs.
        for i in range(len(held)):
            held[i]
        return fitted, held

    fitted, held = processes.agreed(read)
    processes.check_same("images", [_sizes(fitted), _sizes(held)])
    config = processes.told(
        lambda: {"settings": settings, "data": _describe_data(data, fitted, held)}
    )
    before = processes.told(
        lambda: run.read_config(("settings", "data")) if resume else {}
    )
    if resume:
        check_same_data(run, before["data"], config["data"], fitted, held)

    with SignalGuard() as guard, contextlib.ExitStack() as stack:
        stack.enter_context(processes.noticing_losses())
        lock = run.lock()
        stack.callback(lock.release)
        processes.told(lambda: _take(lock, run, resume))
        model, state = processes.agreed(
            lambda: (
                resumed_model(run, settings) if resume else (new_model(settings), None)
            )
        )
        _check_steps(model, settings)
        _check_regions(model, settings, config["data"]["categories"])
        if "anomaly_source" in settings:
            model.take_anomalies_from(*source_images(settings["anomaly_source"]))
        # A run that is resumed on other devices keeps its batches.
        batch_size = settings.get(
            "batch_size",
            before.get("training", {}).get("batch_size", model.default_batch_size),
        )
        count = len(fitted) * model.parts_each
        steps = math.ceil(count / batch_size)  # of an epoch
        epochs = settings.get("epochs") or model.recipe.epochs_for(steps)
        cache = None
        if feature_cache:
            cache = FeatureCache.of(feature_cache)
        elif model.profits_from_cache:
            folder = run.path / "feature_cache"
            augmentation = getattr(model, "augmentation", ())
            cache = default_feature_cache(model, count, folder, augmentation)
            cache = stack.enter_context(cache)
        history = processes.told(run.read_history)
        ended = resume and is_done(run)
        done = steps_taken(model) // steps
        if state or ended:
            done = state.epoch if state else len(history)
            check_history(run, history, done, epochs if ended else None)
        history = history[:done]
        calibrated = "trained_on" in (before.get("calibration") or {})
        if calibrated and before.get("trained_epochs") == len(history) == epochs:
            # Nothing is left to do, and what `calibrate` did since is to stay.
            model = AnomalyDetector.from_preset(
                str(run.model), distribution=settings.get("distribution")
            )
            return {"model": model, "history": history, "config": before}
        if calibrated:
            warnings.warn(
                "The thresholds of this run were set by `keras-rlr calibrate`, and "
                "perhaps where it looks. Both are those of the training again; call "
                "`keras-rlr calibrate` after it.",
                stacklevel=2,
            )
        config["model"] = describe_model(model)
        config["training"] = {
            "recipe": model.recipe.name,
            "epochs": epochs,
            "steps": epochs * steps,
            "batch_size": batch_size,
            "feature_cache": None if cache is None else cache.dtype,
        }
        if model.has_steps:
            # By way of text, 2e-4 as float32 stays 0.0002.
            rate = float(f"{learning_rate_of(model):.6g}")
            config["training"]["learning_rate"] = rate
            config["training"]["beta_2"] = model.recipe.beta_2
        # Of the model that is saved, until another one is.
        config["trained_epochs"] = before.get("trained_epochs", 0)
        config["calibration"] = before.get("calibration")
        # The configuration first: a run is resumed by it, and what misses is written.
        run.write_json(run.config, config)
        run.write_json(run.environment, describe_environment())
        if processes.is_writer() and not run.images.is_file():
            write_run_images(run.images, fitted, held)
        # A run may have been stopped between its last step and what comes after.
        if done < epochs or (model.looks_back and not ended):
            every = settings.get("checkpoint_every")
            kept = settings.get("keep_checkpoints", DEFAULT_KEPT)
            checkpointing = Checkpointing(
                run, guard, history, steps, every, kept, resumed=state
            )
            _fit(
                model,
                fitted,
                checkpointing,
                state,
                epochs=epochs,
                batch_size=batch_size,
                callbacks=callbacks,
                feature_cache=cache,
            )
        if len(held):
            config["calibration"] = calibrate_held_out(model, held, fitted)
        else:
            config["calibration"] = None
            if settings["calibration_fraction"]:
                warnings.warn(
                    "No image was held out for calibration, as no category has one to "
                    "spare: the model has no threshold. Set it from further normal "
                    "images, with `keras-rlr calibrate`.",
                    stacklevel=2,
                )
        config["trained_epochs"] = len(history)
        config["model"] = describe_model(model)  # A bank has its size now.
        if processes.is_writer():
            with changed_together(run.path) as place:
                new = RunFolder(place)
                save_without_optimizer(model, new.model)
                new.write_json(new.config, config)
        if "checkpoint_every" in settings and processes.is_writer():
            run.checkpoints.remove()
        processes.wait()
    return {"model": model, "history": history, "config": config}


def _take(lock, run, resume):
    lock.take()
    if not resume:
        # Another process may have begun it since it was looked at.
        run.check_unused()


def _describe_data(data, fitted, held):
    return {
        "path": str(Path(data).resolve()),
        "categories": list(fitted.categories),
        **describe_images(fitted, held),
    }


def _sizes(dataset):
    """What is alike in copies of a data set: paths and sizes of its files."""
    return [(sample.path, sample.image.stat().st_size) for sample in dataset.samples]


def _check_steps(model, settings):
    if "checkpoint_every" in settings and not model.has_steps:
        raise ValueError(
            f"{type(model).__name__} takes no steps, so there is nothing to go on from "
            "inside of its one pass. Leave `checkpoint_every` out."
        )


def _check_regions(model, settings, categories):
    """Refuses masks by category where the model won't know the categories."""
    masks = model.region_of_interest
    names = [name for name in masks if name] if isinstance(masks, dict) else []
    unknown = [name for name in names if not known_name(name, categories)]
    if unknown:
        raise ValueError(
            f"The region of interest has a mask for {', '.join(unknown)}, which the "
            f"data set does not have. Its categories are {', '.join(categories)}."
        )
    if names and not settings["calibration_fraction"]:
        raise ValueError(
            "Masks by category need a model that recognises categories by their "
            "images, which it learns from images that are held out. Give a "
            "`calibration_fraction` above 0, or one mask for all images."
        )


def _fit(model, fitted, checkpointing, state, callbacks, **options):
    run, history = checkpointing.run, checkpointing.history
    callbacks = list(callbacks)
    if state and state.batch:
        inside = ContinuedEpoch(state.batch, state.step, state.metrics, state.rate_now)
        callbacks.append(inside)
    try:
        model.fit(
            fitted,
            initial_epoch=len(history),
            **options,
            # Last, so that the others see every epoch that a signal ends on.
            callbacks=[*callbacks, checkpointing],
            verbose=0,
        )
    except Exception as error:
        # Nothing is lost yet, and the user can begin again under the same name. Of a
        # training that diverged nothing is worth to be kept.
        diverged = isinstance(error, FloatingPointError)
        if not history and (diverged or not run.checkpoints.hold_batches()):
            run.discard()
        raise
    finally:
        checkpointing.guard.deferring = False
