import contextlib
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from keras_rlr.atomic_change import changed_together
from keras_rlr.atomic_file import check_writable
from keras_rlr.datasets import FolderDataset, read_image
from keras_rlr.datasets.find_normal_images import find_normal_images
from keras_rlr.datasets.image_files import SUFFIXES_IN_WORDS, check_folder
from keras_rlr.datasets.layouts import UnknownLayoutError
from keras_rlr.detectors.describe_model import describe_model
from keras_rlr.detectors.save_model import (
    read_notes,
    save_checkpoint,
    save_without_optimizer,
)
from keras_rlr.evaluation.regions_by_image import RegionsByImage
from keras_rlr.evaluation.score_resized import folder_category
from keras_rlr.training.feedback import Feedback, JudgedImage
from keras_rlr.training.held_out_thresholds import some_of_each, thresholds_of
from keras_rlr.training.hold_out import hold_out_as
from keras_rlr.training.images_record import (
    TRAINING,
    content_hashes,
    read_run_images,
)
from keras_rlr.training.judged_images import feedback_report, named_category
from keras_rlr.training.run_folder import RunFolder


def calibrate_run(
    model: Any,
    path: str | Path,
    data: Any,
    false_positive_rate: float,
    feedback: Feedback | None = None,
    regions_of_interest: RegionsByImage | None = None,
) -> dict[str, Any]:
    """Sets the thresholds of a saved model from a folder of normal images.

    Images that the model was trained on score lower than new ones and are left out, by
    their content and wherever they lie. It is in the run's `images.csv`; a warning says
    so where a model's images are not known.

    Args:
        model: The `RLR` model.
        path: Its `.keras` file, which is written anew; the config.json beside it, if
            it is of a run, gets the new thresholds too.
        data: A folder of normal images, or of a data set, whose normal training
            images are used.
        false_positive_rate: Share of new normal images that may be called anomalous.
        feedback: What people say of images, or None. Those that are normal join the
            images; those that are anomalous are left out of them, and move no
            threshold.
        regions_of_interest: Where to look on each image, by its path below `data`; the
            model keeps the region that it has.

    Returns:
        Dict of "images", "trained_on" (the number that was left out; None if it is not
        known), "false_positive_rate", "threshold", "category_thresholds",
        "pixel_threshold", "category_pixel_thresholds"; with feedback also "feedback",
        what `feedback_report` returns, and in it "joined", the number of its images
        that were not among the others, and "left_out", that of anomalous ones that
        were.

    Raises:
        FileNotFoundError: If there are no images.
        ValueError: If there are too few, all of them were trained on, or the folder
            is a damaged data set.
    """
    path = Path(path)
    check_writable(path.parent)
    run = RunFolder(path.parent)
    config = run.read_config(("settings", "data")) if run.config.is_file() else None
    images = normal_images(data)
    images.name_by_folders({*model.trained_categories, *model.thresholds.by_category})
    told = {}
    if feedback is not None:
        told["left_out"] = images.leave_out_judged(feedback.anomalous)
        told["joined"] = images.join(feedback.normal)
    trained_on = _trained_on(path, config)
    left_out = None if trained_on is None else images.leave_out(trained_on)
    seen = None if left_out is None else images.some_of_each(left_out)
    judged = () if feedback is None else (*feedback.normal, *feedback.anomalous)
    regions_of_judged = None
    beside = contextlib.nullcontext()
    if regions_of_interest is not None:
        files = [*(file for file, _ in images.pairs), *(image.file for image in judged)]
        regions = regions_of_interest([_path_below(file, data) for file in files])
        images.regions_of_interest = regions[: len(images)]
        regions_of_judged = regions[len(images) :]
        beside = model.looking_within(regions_of_interest.beside)
    report: dict[str, Any] = {}
    with beside:
        model.calibrate(images, false_positive_rate, training_images=seen)
        if feedback is not None:
            report = feedback_report(
                model, feedback, false_positive_rate, regions_of_judged
            )
    # That of the model which is saved; masks by image are given anew to each command.
    model.thresholds.region = model.region_fingerprint
    calibration = {
        "images": len(images),
        "trained_on": None if left_out is None else len(left_out),
        "false_positive_rate": false_positive_rate,
        **thresholds_of(model),
    }
    if feedback is not None:
        calibration["feedback"] = {**told, **report}
    notes = read_notes(path)
    with changed_together(path.parent) as place:
        # A checkpoint keeps what training needs to go on.
        if model.optimizer.built:
            save_checkpoint(model, place / path.name, notes)
        else:
            save_without_optimizer(model, place / path.name)
        if config is not None and path.name == run.model.name:
            # Where it looks, and its bit depth, may be others than those trained with.
            known = {"calibration": calibration, "model": describe_model(model)}
            new = {**config, **known}
            run.write_json(place / run.config.name, new)
    return calibration


def normal_images(data: Any) -> "_Images":
    """Normal images of a folder of them, or of a data set's training images.

    Args:
        data: The folder.

    Returns:
        A sequence of elements with "image" and, in a data set, "category".

    Raises:
        FileNotFoundError: If there are none.
        ValueError: If the folder has anomalous images or masks, or is a damaged data
            set.
    """
    return _Images(_normal_images(Path(data)), data)


def _normal_images(data):
    """Pairs of the file and the category, or None, of every normal image."""
    check_folder(data)
    try:
        dataset = FolderDataset(data, "train")
    except UnknownLayoutError:
        return [(image, None) for image in find_normal_images(data)]
    return [(sample.image, sample.category) for sample in dataset.samples]


def _path_below(file, folder):
    """A file's path below a folder; of a file that lies elsewhere all of it."""
    file, folder = Path(file).resolve(), Path(folder).resolve()
    return (
        file.relative_to(folder) if file.is_relative_to(folder) else file
    ).as_posix()


def _trained_on(path, config):
    """SHA-256 of the images that a model was trained on, or None if nobody knows."""
    # Models that were selected on a test set lie in a folder of the run.
    for folder in (path.parent, path.parent.parent):
        record = RunFolder(folder).images
        if record.is_file():
            return read_run_images(record)[TRAINING]
    if config is not None:
        fitted = _same_images(config)
        if fitted is not None:
            return set(content_hashes([sample.image for sample in fitted.samples]))
    warnings.warn(
        f"It is not known which images '{path}' was trained on: no images.csv of its "
        "run lies beside it. If any of these are among them, its thresholds will be "
        "too low; give images that it has never seen.",
        stacklevel=3,
    )
    return None


def _same_images(config):
    """The images of a run that has no record of them, if they are still the same."""
    settings, data = config["settings"], config["data"]
    try:
        dataset = FolderDataset(data["path"], "train", settings.get("categories"))
    except (OSError, ValueError):
        return None
    fitted, _ = hold_out_as(dataset, settings)
    same = fitted.fingerprint() == data.get("training_fingerprint")
    return fitted if same else None


class _Images:
    """Normal images, read when they are asked for."""

    def __init__(self, pairs: Any, folder: Path) -> None:
        self.folder = folder
        self.pairs = pairs
        self.regions_of_interest: list[str | None] | None = None
        if not pairs:
            raise FileNotFoundError(
                f"There are no images in '{folder}'. Expected {SUFFIXES_IN_WORDS} "
                "files there or in folders below."
            )

    def name_by_folders(self, known: set[str]) -> None:
        """Gives images without a category that of the nearest folder called like one.

        Args:
            known: The names of categories.
        """
        self.pairs = [
            (file, folder_category(file, known) if category is None else category)
            for file, category in self.pairs
        ]

    def leave_out_judged(self, judged: Sequence[JudgedImage]) -> int:
        """Leaves out images that people call anomalous; returns how many."""
        hashes = set(content_hashes([image.file for image in judged]))
        return len(self._without(hashes))

    def join(self, judged: Sequence[JudgedImage]) -> int:
        """Takes in images that people call normal; returns how many are new."""
        known = {category for _, category in self.pairs if category is not None}
        hashes = set(content_hashes([image for image, _ in self.pairs]))
        before = len(self.pairs)
        found = content_hashes([image.file for image in judged])
        for image, digest in zip(judged, found, strict=True):
            if digest not in hashes:
                hashes.add(digest)
                # Where the others have no categories, all are recognised alike.
                self.pairs.append((image.file, named_category(image, known)))
        return len(self.pairs) - before

    def _without(self, hashes):
        """Leaves out the files whose SHA-256 is in a set; returns their pairs."""
        found = content_hashes([image for image, _ in self.pairs])
        kept: list[tuple[Path, str | None]] = []
        left_out: list[tuple[Path, str | None]] = []
        for pair, digest in zip(self.pairs, found, strict=True):
            (left_out if digest in hashes else kept).append(pair)
        self.pairs = kept
        return left_out

    def leave_out(self, hashes: Any) -> list[tuple[Path, str | None]]:
        """Leaves out the files whose SHA-256 is in a set; returns their pairs."""
        left_out = self._without(hashes)
        if not self.pairs:
            raise ValueError(
                f"The model was trained on all normal images of '{self.folder}', and "
                "those score lower than new ones. Give other normal images, or train "
                "with --calibration-fraction above 0."
            )
        return left_out

    def some_of_each(self, pairs: Any) -> "_Images | None":
        """Some images of each category that these have, to show what it looks like.

        Args:
            pairs: Pairs of a file and its category, to choose from.

        Returns:
            The images; None if there are none with such a category.
        """
        names = {name for _, name in self.pairs if name is not None}
        pairs = [pair for pair in pairs if pair[1] in names]
        chosen = some_of_each([name for _, name in pairs])
        return _Images([pairs[i] for i in chosen], self.folder) if pairs else None

    def __len__(self):
        return len(self.pairs)

    def __getitem__(self, index):
        image, category = self.pairs[index]
        element = {"image": read_image(image)}
        return element if category is None else {**element, "category": category}
