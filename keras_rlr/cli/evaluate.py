import math
from pathlib import Path

import click

from keras_rlr.cli.backend import start_backend
from keras_rlr.cli.data_location import data_location
from keras_rlr.cli.decoder import load_decoder
from keras_rlr.cli.model_location import load_run, run_config
from keras_rlr.cli.options import (
    AT_LEAST_ONE,
    categories_option,
    data_options,
    json_option,
)


@click.command()
@data_options
@click.option(
    "--model", type=click.Path(), help="Run or .keras file [default: runs/NAME]."
)
@click.option(
    "--output",
    type=click.Path(),
    help="Folder for metrics.json, metrics.csv and report.html [default: the folder "
    "evaluation beside the model].",
)
@categories_option
@click.option("--train", is_flag=True, help="Train a model first if there is none.")
@click.option("--preset", help="Settings of the model that --train trains.")
@click.option(
    "--protocol",
    type=click.Choice(["last-epoch", "best-on-test-set"]),
    default="last-epoch",
    show_default=True,
    help="Which epoch's model. The second is how the paper's authors select; it needs "
    "a run trained with --test-every-epoch.",
)
@click.option(
    "--map-size",
    type=click.Choice(["model", "original"]),
    default="model",
    show_default=True,
    help="Compare maps and masks at the model's image size or at each image's own.",
)
@click.option("--batch-size", type=AT_LEAST_ONE, default=16, show_default=True)
@json_option
def command(
    data,
    dataset,
    data_dir,
    model,
    output,
    categories,
    train,
    preset,
    protocol,
    map_size,
    batch_size,
    as_json,
):
    """Measure a model on a data set's test images.

    Prints AUROC, average precision and F1-max of images and of pixels and AUPRO, per
    category, their mean, and pooled: all images (or pixels) ranked together. Writes
    them with a report of curves and pictures, which shows decoded reconstructions if
    `keras-rlr decoder train` made a decoder.
    """
    location = data_location(data, dataset, data_dir)
    start_backend()
    from keras_rlr.datasets import FolderDataset
    from keras_rlr.evaluation.describe_evaluation import describe_evaluation
    from keras_rlr.evaluation.result_file import result_as_json
    from keras_rlr.evaluation.write_evaluation import write_evaluation

    test = FolderDataset(location.folder, "test", categories=categories)
    place = Path(model) if model else location.run
    if model is None and not place.exists():
        words = f"keras-rlr train {location.words}"
        if not train:
            raise FileNotFoundError(
                f"There is no model in '{place}'. Train one with `{words}`, or let "
                "this command do it by --train, or name one with --model."
            )
        click.echo(f"Training first: {words}", err=True)
        _train(location, place, categories, preset)
    output = Path(output or _beside(place) / "evaluation")
    run = run_config(place)
    measured, detector, predictions, epochs = _measure(
        place, test, protocol, batch_size, map_size
    )
    evaluation = describe_evaluation(
        detector, test, predictions, measured, map_size, run=run, best_epochs=epochs
    )
    title = f"{place} on {location.name}"
    write_evaluation(
        output, title, detector, test, predictions, evaluation, load_decoder(place)
    )
    if as_json:
        click.echo(result_as_json(measured))
        return
    print_result(evaluation)
    click.echo(f"The report is {output / 'report.html'}.")


def _train(location, output, categories, preset):
    from keras_rlr.cli.progress import training_progress
    from keras_rlr.training import train

    progress = training_progress()
    try:
        train(
            location.folder,
            output,
            categories=categories,
            preset=preset,
            callbacks=[progress],
        )
    finally:
        progress.close()


def _measure(place, test, protocol, batch_size, map_size):
    from keras_rlr.cli.progress import image_progress
    from keras_rlr.evaluation.best_on_test_set import measure_best
    from keras_rlr.evaluation.evaluate_model import measure
    from keras_rlr.evaluation.test_predictions import predict_test_set

    options = {"batch_size": batch_size, "original_size": map_size == "original"}
    if protocol == "best-on-test-set":
        with image_progress("evaluating") as progress:
            folder = _beside(place) / "best_on_test_set"
            return measure_best(folder, test, on_progress=progress, **options)
    model = load_run(place)
    with image_progress("evaluating") as progress:
        predictions = predict_test_set(model, test, on_progress=progress, **options)
    return measure(predictions), model, predictions, None


def _beside(place):
    return place.parent if place.suffix == ".keras" else place


def print_result(result):
    """Prints a table: a row a category, then mean and pooled, in per cent."""
    from rich.console import Console
    from rich.table import Table

    from keras_rlr.evaluation.report.tables import heading

    table = Table()
    table.add_column("category", no_wrap=True)
    columns = list(result["mean"])
    for name in columns:
        table.add_column(heading(name), justify="right")

    def cells(figures):
        values = (figures[name] for name in columns)
        return ["-" if math.isnan(v) else f"{100 * v:.1f}" for v in values]

    for name, figures in result["categories"].items():
        table.add_row(name, *cells(figures))
    table.add_section()
    for name in ("mean", "pooled"):
        table.add_row(name, *cells(result[name]))
    Console().print(table)
    if result["protocol"]["selected_on_test_set"]:
        click.echo(result["protocol"]["words"])
