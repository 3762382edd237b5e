"""Takes a product out of the model of a finished run."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from keras import ops

from keras_rlr.atomic_file import write_text
from keras_rlr.category_names import known_name
from keras_rlr.datasets.joined_dataset import JoinedDataset
from keras_rlr.detectors.bank_rows import rows_taken_from
from keras_rlr.detectors.describe_model import describe_model
from keras_rlr.detectors.forget_category import forget_category, forget_usual_maps
from keras_rlr.tables.table_text import table_text
from keras_rlr.training.changed_run import changing
from keras_rlr.training.held_out_thresholds import calibrate_held_out, thresholds_of
from keras_rlr.training.images_record import describe_images, write_run_images
from keras_rlr.training.interruption import SignalGuard
from keras_rlr.training.run_images import find_run_images, read_record, run_parts


def remove_product(
    run: str | Path,
    category: str,
    output: str | Path | None = None,
    old_data: Any = None,
) -> dict[str, Any]:
    """Removes a product: what `keras-rlr train --remove` does.

    Its thresholds, its class mean, its mask of where to look and the maps that are kept
    of its images go, and the patches in a memory bank that no other product has, if the
    run's images are still there; all thresholds are then set anew. Weights that were
    learned stay.

    Args:
        run: Folder of the finished run.
        category: The product.
        output: Folder for the changed run; None to change the run itself, which is
            then kept as it was in its folder `before`.
        old_data: Folder that the run's images are in now, if they were moved.

    Returns:
        Dict: "model"; "config", of the changed run; "stays", sentences of what the
        model still holds of the product; "done", sentences of what went.

    Raises:
        FileNotFoundError: If there is no such run.
        FileExistsError: If `output` holds a run, or another process has this one.
        ValueError: If the model does not know the category, or no other.

    Example:

    ```python
    from keras_rlr.training.remove_product import remove_product

    remove_product("runs/line", "bottle")["stays"]
    ```
    """
    with changing(run, output) as changed:
        return _remove(changed, category, old_data)


def _remove(changed, category, old_data):
    model = changed.load()
    names = model.trained_categories
    category = known_name(category, names) or category
    if category not in names:
        raise ValueError(
            f"The model in '{changed.run.path}' knows no product '{category}'. Choose "
            f"one of {', '.join(names)}."
        )
    if len(names) == 1:
        raise ValueError(
            f"'{category}' is the only product of the model in '{changed.run.path}': "
            "nothing would be left. Train another model."
        )
    others = tuple(name for name in names if name != category)
    done, stays = [], []
    images, missing = None, ""
    try:
        images = find_run_images(changed.run, changed.config, names, old_data)
    except FileNotFoundError as error:
        if old_data is not None:
            raise
        missing = str(error)
    with SignalGuard() as guard:
        # By what it knows of the category, so before that is forgotten.
        if getattr(model, "usual_map", None):
            removed = forget_usual_maps(model, category)
            if removed is None:
                stays.append(
                    "maps of its training images, which can't be told from others'"
                )
            else:
                done.append(f"{removed} maps of its training images")
        if model.forget_region_of(category):
            done.append("its mask of where to look")
        anew = forget_category(model, category, changed.rate)
        # Calibration asks for images of all that a model was trained on.
        model.trained_categories = others
        calibration = changed.config.get("calibration")
        if calibration:
            done.append("its thresholds, and how it looks and scores")
            calibration = {**calibration, **thresholds_of(model)}
        bank = getattr(model, "memory_bank", None)
        if images is None:
            warnings.warn(
                f"The run's images were not found, so what is taken from them stays "
                f"as it is. {missing}",
                stacklevel=2,
            )
            if bank is not None:
                stays.append("its patches in the memory bank")
            if calibration:
                stays.append(
                    "its share in the pixel threshold of all images"
                    if anew
                    else "its share in the thresholds of all images"
                )
        else:
            fitted = _without(images.fitted, others)
            held = _without(images.held, others)
            if bank is not None:
                only = _without(images.fitted, (category,))
                dropped = drop_patches(model, only, fitted)
                if dropped is None:
                    stays.append("the memory bank, which has patches of it alone")
                else:
                    done.append(f"{dropped} of its patches")
            if calibration and len(held):
                changed.announce_thresholds_anew()
                calibration = calibrate_held_out(model, held, fitted, changed.rate)
                done.append("its share in the thresholds of all images")
        if model.has_steps:
            stays.append(
                "what the weights learned of it, until a model is trained anew"
            )
        elif bank is None:
            stays.append("its share in what was taken from all images together")
        elif model.standardize_features:
            stays.append(
                "its share in the mean and spread by which features are standardised"
            )
        model.forget_compiled_functions()
        config = {**changed.config, "model": describe_model(model)}
        config["calibration"] = calibration
        config["data"] = _described(changed.config, category, images, others)
        config["changes"] = [
            *changed.config.get("changes", ()),
            {"removed": category},
        ]
        guard.deferring = True
        changed.write(
            model,
            config,
            lambda path: _write_images(changed, path, category, images, others),
        )
    return {
        "model": model,
        "config": config,
        "done": done,
        "stays": stays,
        "kept": changed.kept,
        "output": changed.target.path,
    }


def _without(dataset: JoinedDataset, names: Any) -> JoinedDataset:
    """The images of some categories."""
    samples = dataset.samples
    return dataset.subset(i for i, s in enumerate(samples) if s.category in names)


def drop_patches(model: Any, removed: Any, kept: Any) -> int | None:
    """Drops the patches of some images that others don't have.

    Args:
        model: A detector with a memory bank.
        removed: The images whose patches go.
        kept: The images whose patches stay.

    Returns:
        How many went. None, and none goes, where the bank would be empty.
    """
    drop = rows_taken_from(model, removed)
    # A plain background may stand for that of other products too.
    drop &= ~rows_taken_from(model, kept)
    if drop.all():
        return None
    if drop.any():
        patches = ops.convert_to_numpy(model.memory_bank.patches)
        with model.scope():
            model.memory_bank.store(np.ascontiguousarray(patches[~drop]))
        model.forget_compiled_functions()
    return int(drop.sum())


def _described(config, category, images, others):
    data = config["data"]
    parts = [
        {**part, "categories": [n for n in part["categories"] if n != category]}
        for part in run_parts(config)
    ]
    described = {
        **data,
        "categories": [name for name in data["categories"] if name != category],
        "parts": [part for part in parts if part["categories"]],
    }
    if images is not None:
        fitted, held = _without(images.fitted, others), _without(images.held, others)
        described |= describe_images(fitted, held)
    return described


def _write_images(changed, path, category, images, others):
    """Writes the record of the run's images without those of the category."""
    if images is not None:
        fitted, held = _without(images.fitted, others), _without(images.held, others)
        write_run_images(path, fitted, held)
        return
    record = read_record(changed.run, changed.config)
    if record is not None:
        kept = [row for row in record if row[-1] != category]
        write_text(path, table_text([("use", "sha256", "path", "category"), *kept]))
