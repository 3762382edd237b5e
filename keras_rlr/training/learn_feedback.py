"""A finished run learns from images that people marked as false alarms."""

import shutil
import tempfile
import warnings
from pathlib import Path
from typing import Any

from keras_rlr.datasets import FolderDataset
from keras_rlr.training.changed_run import changing
from keras_rlr.training.extend_run import NewImages, check_epochs, extend_run
from keras_rlr.training.feedback import ANOMALOUS, NORMAL, Feedback, JudgedImage
from keras_rlr.training.hold_out import hold_out_as
from keras_rlr.training.images_record import content_hashes
from keras_rlr.training.judged_images import decided_images, named_category
from keras_rlr.training.run_images import (
    FEEDBACK,
    RunImages,
    RunPart,
    find_run_images,
)


def learn_feedback(
    run: str | Path,
    feedback: Feedback,
    output: str | Path | None = None,
    epochs: int | None = None,
    old_data: Any = None,
    feature_cache: Any = None,
    callbacks: Any = (),
    on_progress: Any = None,
) -> dict[str, Any]:
    """Learns from false alarms: what `keras-rlr train --feedback` does.

    Images that people marked normal join the training images of their products, a share
    of them those that thresholds are set by; they are copied into the run's folder,
    because production does not keep them. Then all is as of `add_products`. Images that
    were marked anomalous are never trained on: they show, with the others, what the
    model decides before and after.

    Args:
        run: Folder of the finished run.
        feedback: The `Feedback`.
        output: Folder for the changed run; None to change the run itself.
        epochs: See `add_products`; so are the others.
        old_data: See `epochs`.
        feature_cache: See `epochs`.
        callbacks: See `epochs`.
        on_progress: See `epochs`.

    Returns:
        What `extend_run` does, and "learned", the number of images that were trained
        on by product; "held_out", that of the others; "known", that of images marked
        normal that the run had already; and "feedback", dicts of "path", "verdict",
        and "before" and "after": "anomaly_score", "threshold" and "is_anomalous".

    Raises:
        FileNotFoundError: If there is no such run, or its images are not there.
        FileExistsError: If `output` holds a run, or another process has this one.
        ValueError: If there is nothing to learn, the product of an image is not known,
            or the run was trained on an image that was marked anomalous.
        TrainingInterrupted: If a signal stopped it. The run is as it was.

    Example:

    ```python
    from keras_rlr.training.feedback import Feedback
    from keras_rlr.training.learn_feedback import learn_feedback

    judged = Feedback.read("monday/scores.csv", ["MONDAY"])
    learn_feedback("runs/line", judged)["feedback"]
    ```
    """
    options = (epochs, feature_cache, callbacks, on_progress)
    with changing(run, output) as changed:
        return _learn(changed, feedback, old_data, *options)


def _learn(changed, feedback, old_data, epochs, *options):
    if not feedback.normal:
        raise ValueError(
            f"No image of the feedback is marked {NORMAL}, so there is nothing to "
            f"learn: those marked {ANOMALOUS} are never trained on. `keras-rlr "
            "calibrate --feedback` says from which rate on they would be found."
        )
    model = changed.load()
    check_epochs(model, epochs)
    names = model.trained_categories
    products = _products(feedback.normal, names)
    old = find_run_images(changed.run, changed.config, names, old_data)
    old = _without_anomalous(old, feedback, changed.run.path)
    new = _new_images(feedback.normal, products, old)
    if not new:
        raise ValueError(
            f"All {len(feedback.normal)} images marked {NORMAL} are the run's own, "
            "which it was trained or calibrated on: there is nothing to learn."
        )
    place = changed.target.path / FEEDBACK
    with tempfile.TemporaryDirectory() as folder:
        for name, file in new.items():
            copy = Path(folder, name)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, copy)
        dataset = FolderDataset(folder, "train")
        for i in range(len(dataset)):
            dataset[i]  # A damaged image is noticed before the work.
        fitted, held = hold_out_as(dataset, changed.config["settings"])
        learned = _counts(fitted)
        judged = [*feedback.normal, *feedback.anomalous]
        images = NewImages(
            fitted,
            held,
            RunPart(place.resolve(), dataset.categories, is_feedback=True),
            {"learned": learned, "held_out": len(held)},
            keep=lambda: shutil.copytree(folder, place, dirs_exist_ok=True),
            judge=lambda: decided_images(model, judged),
        )
        result = extend_run(changed, model, old, images, epochs, *options)
    verdicts = [NORMAL] * len(feedback.normal) + [ANOMALOUS] * len(feedback.anomalous)
    rows = zip(
        *(judged, verdicts, result["judged"]["before"], result["judged"]["after"]),
        strict=True,
    )
    return {
        **result,
        "learned": learned,
        "held_out": len(held),
        "known": len(feedback.normal) - len(new),
        "feedback": [
            {"path": image.path, "verdict": verdict, "before": was, "after": is_now}
            for image, verdict, was, is_now in rows
        ],
    }


def _counts(dataset):
    categories = [sample.category for sample in dataset.samples]
    return {name: categories.count(name) for name in dataset.categories}


def _products(images: tuple[JudgedImage, ...], known: tuple[str, ...]) -> list[str]:
    """The product of each image."""
    products = [
        named_category(image, known) or (known[0] if len(known) == 1 else None)
        for image in images
    ]
    unnamed = [
        image.path
        for image, product in zip(images, products, strict=True)
        if product is None
    ]
    if unnamed:
        raise ValueError(
            f"It is not said which product {len(unnamed)} of {len(images)} images "
            f"marked {NORMAL} show (the first: {unnamed[0]}). Write its name into the "
            f"column category of the feedback: one of {', '.join(known)}."
        )
    return [product for product in products if product is not None]


def _without_anomalous(old: RunImages, feedback: Feedback, run: Path) -> RunImages:
    """The run's images, without those held out that people call anomalous."""
    marked = dict(_by_content(feedback.anomalous))
    both = set(marked) & set(_by_content(feedback.normal))
    if both:
        raise ValueError(
            f"'{marked[min(both)].path}' is marked {ANOMALOUS}, and a copy of it "
            f"{NORMAL}. Leave one row."
        )
    if not old.hashes & set(marked):
        return old
    trained = content_hashes([sample.image for sample in old.fitted.samples])
    if wrong := [digest for digest in trained if digest in marked]:
        raise ValueError(
            f"The run in '{run}' was trained on {len(wrong)} images that are marked "
            f"{ANOMALOUS} (the first: {marked[wrong[0]].path}), and a model does not "
            "unlearn. Take them out of its data and train anew."
        )
    held = content_hashes([sample.image for sample in old.held.samples])
    kept = [i for i, digest in enumerate(held) if digest not in marked]
    warnings.warn(
        f"{len(held) - len(kept)} of {len(held)} images that thresholds were set by "
        f"are marked {ANOMALOUS}: they are left out.",
        stacklevel=3,
    )
    return RunImages(old.fitted, old.held.subset(kept), old.parts, old.hashes)


def _new_images(images, products, old) -> dict[str, Path]:
    """Files that the run does not have, by their names in its folder of feedback."""
    found: dict[str, tuple[str, Path]] = {}
    digests = content_hashes([image.file for image in images])
    for image, product, digest in zip(images, products, digests, strict=True):
        if digest not in old.hashes:
            file = image.file
            # Names of production may be the same every day.
            name = f"{file.stem[:100]}-{digest[:12]}{file.suffix}"
            found.setdefault(digest, (f"{product}/train/good/{name}", file))
    return dict(found.values())


def _by_content(images):
    digests = content_hashes([image.file for image in images])
    return dict(zip(digests, images, strict=True))
