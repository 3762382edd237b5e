"""Adds the products of a data set to the model of a finished run."""

from pathlib import Path
from typing import Any

from keras_rlr.category_names import known_name
from keras_rlr.datasets import FolderDataset
from keras_rlr.training.changed_run import changing
from keras_rlr.training.extend_run import NewImages, check_epochs, extend_run
from keras_rlr.training.hold_out import hold_out_as
from keras_rlr.training.images_record import content_hashes
from keras_rlr.training.run_images import RunPart, find_run_images


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
    products and the new ones together, for half of the epochs that the run was given,
    or that the recipe has for so many images. A method that keeps patches (PatchCore)
    keeps those of the old products and gets more; PaDiM's Gaussians are taken anew from
    all images. The mean and spread by which features are standardised stay the run's.
    What products look like and all thresholds are taken anew from images of all
    products; images that the run held out stay held out.

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
        FileExistsError: If `output` holds a run, or another process has this one.
        ValueError: If a category is known already, or a setting is not possible.
        TrainingInterrupted: If a signal stopped it. The run is as it was.

    Example:

    ```python
    from keras_rlr.training.add_products import add_products

    added = add_products("runs/line", "new_product")
    added["categories"]["bottle"]
    ```
    """
    options = (epochs, feature_cache, callbacks, on_progress)
    with changing(run, output) as changed:
        return _add(changed, data, categories, old_data, *options)


def _add(changed, data, categories, old_data, epochs, *options):
    new = FolderDataset(data, "train", categories)
    model = changed.load()
    old_names = model.trained_categories
    _refuse_known(new.categories, old_names, changed.run.path)
    check_epochs(model, epochs)
    fitted, held = hold_out_as(new, changed.config["settings"])
    for i in range(len(held)):
        held[i]  # A damaged image is noticed before the work.
    old = find_run_images(changed.run, changed.config, old_names, old_data)
    _refuse_same_images(new, old)
    part = RunPart(Path(data).resolve(), new.categories)
    change = {"added": list(new.categories), "path": str(part.path)}
    images = NewImages(fitted, held, part, change)
    result = extend_run(changed, model, old, images, epochs, *options)
    return {**result, "added": list(new.categories)}


def _refuse_known(new, old, run):
    both = sorted(name for name in new if known_name(name, old))
    if not both:
        return
    others = ",".join(
        f'"{name}"' if "," in name else name for name in sorted(set(new) - set(old))
    )
    choose = f"Choose the others with --categories {others}, or give" if others else ""
    raise ValueError(
        f"The model in '{run}' knows {', '.join(both)} already. {choose or 'Give'} new "
        "products names of their own; to learn false alarms of a product that it "
        "knows, use --feedback; to learn from more images of it, train on all anew."
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
