import csv
import io
from pathlib import Path

import keras

from keras_rlr.atomic_file import write_text
from keras_rlr.evaluation.evaluate_model import measure
from keras_rlr.evaluation.test_predictions import predict_test_set
from keras_rlr.models.loading import load_model
from keras_rlr.models.save_model import save_without_optimizer

CHOSEN_BY = ("image_auroc", "pixel_auroc")


class BestOnTestSet(keras.callbacks.Callback):
    """Tests after every epoch and keeps the models that are best on the test set.

    This is how the paper's authors select what they report: one model by the mean
    image AUROC, another by the mean pixel AUROC. It uses the test set to choose, so
    new images will not be found as well; results say so.

    Args:
        dataset: The test set, see `evaluate_model`.
        folder: The folder for `test_history.csv`, `image_auroc.keras` and
            `pixel_auroc.keras`.
    """

    def __init__(self, dataset, folder):
        super().__init__()
        self.dataset = dataset
        self.folder = Path(folder)

    def on_epoch_end(self, epoch, logs=None):
        """Tests, and keeps what is better than before."""
        # A run that is resumed repeats epochs that were tested but not saved.
        rows = [row for row in read_history(self.folder) if row["epoch"] <= epoch]
        mean = measure(predict_test_set(self.model, self.dataset))["mean"]
        for figure in CHOSEN_BY:
            if all(mean[figure] > row[figure] for row in rows):
                save_without_optimizer(self.model, self.folder / f"{figure}.keras")
        _write_history(self.folder, [*rows, {"epoch": epoch + 1, **mean}])


def load_best(folder):
    """Returns the models that `BestOnTestSet` kept, with the epochs they are of.

    Args:
        folder: Its folder.

    Returns:
        Dict by the names of `CHOSEN_BY` of (model, epoch).

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
    best = {}
    for figure in CHOSEN_BY:
        epoch = max(rows, key=lambda row: row[figure])["epoch"]
        best[figure] = load_model(folder / f"{figure}.keras"), epoch
    return best


def measure_best(folder, dataset, on_progress=None, **options):
    """Measures by the authors' protocol: each figure with the model chosen by it.

    Args:
        folder: The folder of `BestOnTestSet`.
        dataset: The test set.
        on_progress: See `evaluate_model`.
        **options: Of `predict_test_set`.

    Returns:
        The result as of `evaluate_model`, image figures of the one model and pixel
        figures of the other; the model chosen by image AUROC with its
        `TestPredictions`; and the two epochs.
    """
    results, kept, epochs = {}, None, []
    for figure, (model, epoch) in load_best(folder).items():
        predictions = predict_test_set(
            model, dataset, on_progress=on_progress, **options
        )
        results[figure] = measure(predictions)
        kept = kept or (model, predictions)
        epochs.append(epoch)
    image, pixel = (results[figure] for figure in CHOSEN_BY)

    def merge(of_image, of_pixel):
        return {
            name: value if name.startswith("image") else of_pixel[name]
            for name, value in of_image.items()
        }

    merged = {
        "categories": {
            name: merge(figures, pixel["categories"][name])
            for name, figures in image["categories"].items()
        },
        **{key: merge(image[key], pixel[key]) for key in ("mean", "pooled")},
    }
    return merged, *kept, tuple(epochs)


def read_history(folder):
    """The rows of `test_history.csv`: dicts of the epoch and the mean figures."""
    file = Path(folder) / "test_history.csv"
    if not file.is_file():
        return []
    with file.open(encoding="utf-8", newline="") as stream:
        return [
            {key: int(v) if key == "epoch" else float(v) for key, v in row.items()}
            for row in csv.DictReader(stream)
        ]


def _write_history(folder, rows):
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: repr(value) for key, value in row.items()} for row in rows)
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "test_history.csv", text.getvalue())
