from pathlib import Path

from keras_rlr.atomic_file import write_text
from keras_rlr.evaluation.report import report_html
from keras_rlr.evaluation.result_file import evaluation_as_csv, result_as_json


def write_evaluation(
    output, title, model, dataset, predictions, evaluation, decoder=None
):
    """Writes `metrics.json`, `metrics.csv` and `report.html`.

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
    page = report_html(title, model, dataset, predictions, evaluation, decoder)
    texts = {
        "metrics.json": result_as_json(evaluation) + "\n",
        "metrics.csv": evaluation_as_csv(evaluation),
        "report.html": page,
    }
    output.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        write_text(output / name, text)


def check_output(output):
    """Refuses a folder for results that can't be one.

    Raises:
        NotADirectoryError: If it is a file.
    """
    if Path(output).exists() and not Path(output).is_dir():
        raise NotADirectoryError(
            f"'{output}' is a file. Choose another folder with --output."
        )
