import math
from pathlib import Path

import click

from keras_rlr.cli.backend import start_backend
from keras_rlr.cli.model_location import default_run, load_run
from keras_rlr.cli.options import (
    AT_LEAST_ONE,
    categories_option,
    data_option,
    json_option,
)

_HEADINGS = {"image_auroc": "image AUROC", "pixel_auroc": "pixel AUROC"}


@click.command()
@data_option
@click.option(
    "--model", type=click.Path(), help="Run or .keras file [default: runs/NAME]."
)
@click.option("--output", type=click.Path(), help="Folder for metrics.json.")
@categories_option
@click.option("--batch-size", type=AT_LEAST_ONE, default=16, show_default=True)
@json_option
def command(data, model, output, categories, batch_size, as_json):
    """Measure a model on a data set's test images.

    Prints AUROC of images and of pixels, per category, their mean, and pooled: all
    images (or pixels) ranked together.
    """
    start_backend()
    from keras_rlr.atomic_file import write_text
    from keras_rlr.cli.progress import image_progress
    from keras_rlr.datasets import FolderDataset
    from keras_rlr.evaluation import evaluate_model
    from keras_rlr.evaluation.result_file import result_as_json

    dataset = FolderDataset(data, "test", categories=categories)
    if model is None:
        model = default_run(data)
        if not model.exists():
            raise FileNotFoundError(
                f"There is no model in '{model}'. Train one with `keras-rlr train "
                f"--data {data}`, or name one with --model."
            )
    model = load_run(model)
    if output is not None:
        Path(output).mkdir(parents=True, exist_ok=True)
    with image_progress("evaluating") as progress:
        result = evaluate_model(model, dataset, batch_size, on_progress=progress)
    if output is not None:
        write_text(Path(output) / "metrics.json", result_as_json(result) + "\n")
    if as_json:
        click.echo(result_as_json(result))
    else:
        print_result(result)


def print_result(result):
    """Prints a table: a row a category, then mean and pooled, in per cent."""
    from rich.console import Console
    from rich.table import Table

    table = Table()
    table.add_column("category")
    for heading in _HEADINGS.values():
        table.add_column(heading, justify="right")
    for name, figures in result["categories"].items():
        table.add_row(name, *_per_cent(figures))
    table.add_section()
    for name in ("mean", "pooled"):
        table.add_row(name, *_per_cent(result[name]))
    Console().print(table)


def _per_cent(figures):
    values = (figures[key] for key in _HEADINGS)
    return ["-" if math.isnan(v) else f"{100 * v:.1f}" for v in values]
