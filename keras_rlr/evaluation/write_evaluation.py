from pathlib import Path

from keras_rlr.atomic_file import write_text
from keras_rlr.evaluation.report import report_html
from keras_rlr.evaluation.result_file import evaluation_as_csv, result_as_json


def write_evaluation(
    output, title, model, dataset, predictions, evaluation, decoder=None
):
    """Writes `metrics.json`, `metrics.csv` and then `report.html`.

    The figures are written first: no fault in a picture can lose them. What is there of
    another evaluation goes before, so that files that lie together belong together.

    Args:
        output: The folder.
        title: Heading of the report.
        model: The `RLR` model.
        dataset: The `FolderDataset` of test images.
        predictions: `TestPredictions` of the model on it.
        evaluation: A result of `describe_evaluation`.
        decoder: The `FeatureDecoder` of the model's features, or None.
    """
    output = Path(output)
    for name in ("report.html", "metrics.csv"):
        (output / name).unlink(missing_ok=True)
    write_text(output / "metrics.json", result_as_json(evaluation) + "\n")
    write_text(output / "metrics.csv", evaluation_as_csv(evaluation))
    page = report_html(title, model, dataset, predictions, evaluation, decoder)
    write_text(output / "report.html", page)
