import shlex
import warnings
from pathlib import Path
from typing import Any

import click

from keras_rlr.cli.backend import start_backend
from keras_rlr.cli.data_location import data_location
from keras_rlr.cli.decoder import load_decoder
from keras_rlr.cli.model_location import load_run, run_config
from keras_rlr.cli.options import (
    PLACE,
    batch_size_option,
    bit_depth_option,
    categories_option,
    data_options,
    json_option,
    large_images_option,
)
from keras_rlr.cli.printing import say
from keras_rlr.cli.region import look_for_once, region_options


@click.command()
@data_options
@click.option(
    "--model",
    type=PLACE,
    help="Folder of a run, or .keras file [default: runs/NAME, as of `train`].",
)
@click.option(
    "--output",
    type=PLACE,
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
    help="Compare maps and masks at the model's image size or at each image's own "
    "[default: the latter of models that look at tiles].",
)
@batch_size_option
@bit_depth_option
@region_options
@large_images_option
@click.option(
    "--decoder",
    type=PLACE,
    help="The decoder's file, for the report [default: the one beside the model].",
)
@json_option
def command(
    data: str | None,
    dataset: str | None,
    data_dir: str | None,
    model: str | None,
    output: str | None,
    categories: tuple[str, ...] | None,
    train: bool,
    preset: str | None,
    protocol: str,
    map_size: str | None,
    batch_size: int,
    bit_depth: int | None,
    roi: str | None,
    ignore: str | None,
    decoder: str | None,
    as_json: bool,
) -> None:
    """Measure a model on a data set's test images.

    Prints AUROC, average precision and F1-max of images and of pixels and AUPRO, per
    category, their mean, and pooled: all images (or pixels) ranked together. Writes
    them with a report of curves and pictures, which shows decoded reconstructions if
    `keras-rlr decoder train` made a decoder.
    """
    location = data_location(data, dataset, data_dir)
    start_backend()
    from keras_rlr.atomic_change import finish_change
    from keras_rlr.datasets import FolderDataset
    from keras_rlr.evaluation.describe_evaluation import describe_evaluation
    from keras_rlr.evaluation.evaluate_model import resolve_map_size
    from keras_rlr.evaluation.result_file import result_as_json
    from keras_rlr.evaluation.write_evaluation import write_evaluation

    test = FolderDataset(location.folder, "test", categories=categories)
    place = Path(model) if model else location.run
    folder = _output_folder(output, place)
    if model is None:
        finish_change(place)
        if not (place / "model.keras").is_file():
            trained = protocol if train else None
            _train(location, place, categories, preset, bit_depth, trained)
    run = run_config(place)
    models = _load(place, protocol, bit_depth, run)
    detector = models[0][0]
    by_image, regions = look_for_once(detector, roi, ignore), None
    if by_image:
        regions = by_image([sample.path for sample in test.samples])
    if not (roi is None and ignore is None):
        for other, _ in models[1:]:
            other.region_of_interest = detector.region_of_interest
    map_size = resolve_map_size(detector, map_size)
    # Before the work, so that none is lost if it is of another model.
    decoder = load_decoder(decoder, place, detector)
    measured, predictions = _measure(models, test, batch_size, map_size, regions)
    epochs = [epoch for _, epoch in models] if len(models) > 1 else None
    evaluation = describe_evaluation(
        detector,
        test,
        predictions,
        measured,
        map_size,
        run=run,
        best_epochs=epochs,
        regions=regions,
    )
    # Printed first: whatever keeps files from being written, the figures are known.
    if as_json:
        if epochs:
            measured["protocol"] = evaluation["protocol"]
        say(result_as_json(measured))
    else:
        print_result(evaluation)
    if folder is None:
        return
    title = f"{place} on {location.name}"
    write_evaluation(folder, title, detector, test, predictions, evaluation, decoder)
    if not as_json:
        say(f"The report is {folder / 'report.html'}.")


def _output_folder(output: str | None, place: Path) -> Path | None:
    """Where the results are written; None, with a warning, if they can't be.

    Args:
        output: The folder that the user named, which must do; or None.
        place: The run or the model's file.
    """
    from keras_rlr.atomic_file import check_writable

    folder = Path(output or _beside(place) / "evaluation")
    try:
        check_writable(folder)
    except PermissionError as error:
        if output:
            raise
        warnings.warn(f"{error} The figures are printed only.", stacklevel=2)
        return None
    return folder


def _train(location, output, categories, preset, bit_depth, protocol):
    """Trains the model that is missing, or says how to.

    Args:
        location: The `DataLocation`.
        output: The folder of the run.
        categories: To train on, or None for all.
        preset: Of the model, or None.
        bit_depth: Of the images, or None.
        protocol: That it is to be evaluated by; None if it may not be trained.
    """
    resume = (output / "config.json").is_file()
    words = ["keras-rlr", "train", *location.words]
    words += ["--categories", ",".join(categories)] if categories else []
    words += ["--preset", preset] if preset else []
    words += ["--bit-depth", str(bit_depth)] if bit_depth else []
    words += ["--resume"] if resume else []
    words += ["--test-every-epoch"] if protocol == "best-on-test-set" else []
    line = shlex.join(words)
    if protocol is None:
        what = "The run is not finished" if resume else "There is no model"
        raise FileNotFoundError(
            f"{what} in '{output}'. Train it with `{line}`, or let this command do "
            "it by --train, or name a model with --model."
        )
    from keras_rlr.cli.progress import training_progress
    from keras_rlr.training import train
    from keras_rlr.training.best_on_test_set import BestOnTestSet

    say(f"Training first: {line}", err=True)
    callbacks = []
    if protocol == "best-on-test-set":
        callbacks.append(BestOnTestSet.of_run(output, location.folder, categories))
    with training_progress() as progress:
        train(
            location.folder,
            output,
            categories=categories,
            preset=preset,
            bit_depth=bit_depth,
            resume=resume,
            callbacks=[progress, *callbacks],
        )


def _load(place, protocol, bit_depth, run):
    """Pairs of the models that are measured and the epochs they are of."""
    if protocol == "best-on-test-set":
        from keras_rlr.training.best_on_test_set import FOLDER, load_best

        models = load_best(_beside(place) / FOLDER)
    else:
        models = [(load_run(place), None)]
    for model, _ in models:
        if bit_depth is not None:
            model.bit_depth = bit_depth
        if run is not None and not model.trained_categories:
            # Models of earlier versions don't know it themselves.
            model.trained_categories = tuple(run["data"]["categories"])
    return models


def _measure(models, test, batch_size, map_size, regions):
    from keras_rlr.cli.progress import image_progress
    from keras_rlr.evaluation.evaluate_model import measure
    from keras_rlr.evaluation.test_predictions import predict_test_set
    from keras_rlr.training.best_on_test_set import merge_best

    options = {
        "batch_size": batch_size,
        "original_size": map_size == "original",
        "regions_of_interest": regions,
    }
    results = []
    for model, _ in models:
        with image_progress("evaluating") as progress:
            kept = predict_test_set(model, test, on_progress=progress, **options)
        results.append(measure(kept))
        if len(results) == 1:
            predictions = kept  # what the report shows
    return (results[0] if len(results) == 1 else merge_best(*results)), predictions


def _beside(place):
    return place.parent if place.suffix == ".keras" else place


def print_result(result: dict[str, Any]) -> None:
    """Prints a table: a row a category, then mean and pooled, in per cent."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from keras_rlr.evaluation.report.page import (
        category_title,
        heading,
        per_cent,
        recognition_in_words,
        summary_title,
    )

    table = Table()
    table.add_column("category", no_wrap=True)
    columns = list(result["mean"])
    for name in columns:
        table.add_column(heading(name), justify="right")

    def cells(figures):
        return [per_cent(figures[name]) for name in columns]

    # A text of its own: brackets in a name are no markup.
    for name, figures in result["categories"].items():
        table.add_row(Text(category_title(result, name)), *cells(figures))
    table.add_section()
    for name in ("mean", "pooled"):
        table.add_row(Text(summary_title(result, name)), *cells(result[name]))
    Console().print(table)
    if "recognition" in result:
        say(recognition_in_words(result))
    if result["protocol"]["selected_on_test_set"]:
        say(result["protocol"]["words"])
