import collections
import csv
import math
from pathlib import Path
from typing import Any

import keras

from keras_rlr import processes
from keras_rlr.atomic_change import changed_together, finish_change
from keras_rlr.atomic_file import write_text
from keras_rlr.datasets import FolderDataset
from keras_rlr.detectors.loading import load_model
from keras_rlr.detectors.save_model import save_without_optimizer
from keras_rlr.evaluation.evaluate_model import measure
from keras_rlr.evaluation.test_predictions import predict_test_set
from keras_rlr.tables.table_text import table_text
from keras_rlr.training.run_folder import RunFolder

FOLDER = "best_on_test_set"
CHOSEN_BY = ("image_auroc", "pixel_auroc")


class BestOnTestSet(keras.callbacks.Callback):
    """Tests after every epoch and keeps the models that are best on the test set.

    This is how the paper's authors select what they report: one model by the mean
    image AUROC, another by the mean pixel AUROC. It uses the test set to choose, so
    new images will not be found as well; results say so.

    Where the region of interest is by category, that of each test image's own category
    holds: products are recognised from the end of the training on alone.

    Args:
        dataset: The test set, see `evaluate_model`.
        folder: The folder for `test_history.csv`, `image_auroc.keras` and
            `pixel_auroc.keras`.
    """

    def __init__(self, dataset: Any, folder: Path) -> None:
        super().__init__()
        self.dataset = dataset
        self.folder = Path(folder)

    @classmethod
    def of_run(
        cls, run: str | Path, data: Any, categories: Any = None
    ) -> "BestOnTestSet":
        """The callback of a training run on a data set.

        Args:
            run: The folder of the run.
            data: The folder of the data set.
            categories: Those to test on, or None for those of the run, if it is there
                already and is resumed, and else for all.

        Raises:
            ValueError: If the test set has no figures to select by.
        """
        folder = RunFolder(run)
        if categories is None and folder.config.is_file():
            categories = folder.read_config()["settings"].get("categories")
        dataset = FolderDataset(data, "test", categories)
        check_selectable(dataset)
        return cls(dataset, Path(run, FOLDER))

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Tests, and keeps what is better than before."""
        # A run that is resumed repeats epochs that were tested but not saved.
        rows = [row for row in read_history(self.folder) if row["epoch"] <= epoch]
        mean = measure(predict_test_set(self.model, self.dataset))["mean"]
        for figure in CHOSEN_BY:
            if math.isnan(mean[figure]):
                raise ValueError(
                    f"The mean {figure} of the test set is not defined, so no epoch "
                    "can be selected by it: are all masks black, or all white? Train "
                    "without --test-every-epoch, or mend the test set."
                )
        if not processes.is_writer():
            return
        with changed_together(self.folder) as place, processes.alone():
            for figure in CHOSEN_BY:
                if all(mean[figure] > row[figure] for row in rows):
                    save_without_optimizer(self.model, place / f"{figure}.keras")
            _write_history(place, [*rows, {"epoch": epoch + 1, **mean}])


def check_selectable(dataset: Any) -> None:
    """Refuses a test set that defines no image AUROC or no pixel AUROC.

    Args:
        dataset: `FolderDataset` of the split "test".

    Raises:
        ValueError: If no category has normal and anomalous images, or none of those
            has masks.
    """
    labels, masked = collections.defaultdict(set), set()
    for sample in dataset.samples:
        labels[sample.category].add(sample.label)
        if sample.mask:
            masked.add(sample.category)
    both = {category for category, found in labels.items() if len(found) == 2}
    if not both & masked:
        lacks = (
            "masks of the anomalous images"
            if both
            else "a category with both normal and anomalous images"
        )
        raise ValueError(
            f"The test set of '{dataset.path}' lacks {lacks}, so no epoch can be "
            "selected on it by image AUROC and pixel AUROC. Train without "
            "--test-every-epoch, or add them."
        )


def load_best(folder: Path) -> list[tuple[Any, int | None]]:
    """Loads the models that `BestOnTestSet` kept.

    Args:
        folder: Its folder.

    Returns:
        Pairs of (model, epoch it is of), in the order of `CHOSEN_BY`.

    Raises:
        FileNotFoundError: If there are none.
    """
    folder = Path(folder)
    rows = read_history(folder)
    if not rows:
        raise FileNotFoundError(
            f"There are no models selected on a test set in '{folder}'. Train with "
            "--test-every-epoch to keep them."
        )
    best = []
    for figure in CHOSEN_BY:
        epoch = max(rows, key=lambda row: row[figure])["epoch"]
        best.append((load_model(folder / f"{figure}.keras"), epoch))
    return best


def merge_best(of_image: Any, of_pixel: Any) -> dict[str, Any]:
    """The authors' protocol: each figure from the model that was chosen by its kind.

    Args:
        of_image: Result of `measure` of the model with the best image AUROC.
        of_pixel: Result of the model with the best pixel AUROC.

    Returns:
        A result with image figures of the one and pixel figures of the other.
    """

    def merge(image, pixel):
        return {
            name: value if name.startswith("image") else pixel[name]
            for name, value in image.items()
        }

    return {
        "categories": {
            name: merge(figures, of_pixel["categories"][name])
            for name, figures in of_image["categories"].items()
        },
        **{key: merge(of_image[key], of_pixel[key]) for key in ("mean", "pooled")},
        **{k: names for k, names in of_image.items() if k == "unseen_categories"},
    }


def read_history(folder: Path) -> list[dict[str, Any]]:
    """The rows of `test_history.csv`: dicts of the epoch and the mean figures."""
    finish_change(folder)
    file = Path(folder) / "test_history.csv"
    if not file.is_file():
        return []
    with file.open(encoding="utf-8", newline="") as stream:
        try:
            return [
                {key: int(v) if key == "epoch" else float(v) for key, v in row.items()}
                for row in csv.DictReader(stream)
            ]
        except (TypeError, ValueError, csv.Error) as error:
            raise ValueError(
                f"'{file}' is damaged: expected rows of numbers ({error}). Restore it, "
                "or train again."
            ) from error


def _write_history(folder, rows):
    cells = ([repr(value) for value in row.values()] for row in rows)
    write_text(folder / "test_history.csv", table_text([list(rows[0]), *cells]))
