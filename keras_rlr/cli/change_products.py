"""What `keras-rlr train` does with --add and --remove."""

import contextlib
import math
from typing import Any

import click
from click.core import ParameterSource

from keras_rlr.cli.backend import start_backend
from keras_rlr.cli.printing import say

_OF_BOTH = {"model", "output", "data", "as_json", "allow_large_images"}
_OF_ADD = {*_OF_BOTH, "add", "categories", "epochs", "feature_cache"}
_OF_REMOVE = {*_OF_BOTH, "remove"}
# What the table shows; --json has all figures.
_SHOWN = ("image_auroc", "pixel_auroc", "pixel_aupro")


def change_products(
    add: str | None,
    remove: str | None,
    model: str | None,
    output: str | None = None,
    old_data: str | None = None,
    as_json: bool = False,
    **settings: Any,
) -> None:
    """Adds products to a finished run, or takes one out.

    Args:
        add: What the user gave for --add.
        remove: What the user gave for --remove.
        model: What the user gave for --model.
        output: What the user gave for --output.
        old_data: What the user gave for --data.
        as_json: Whether to print one JSON object.
        **settings: Other arguments of `add_products`.

    Raises:
        click.UsageError: If options are missing, or can't be changed.
    """
    if (add is None) == (remove is None):
        raise click.UsageError(
            "--model names the run that --add DIR adds products to, or --remove "
            "CATEGORY takes one from: give one of both. To train another model, name "
            "its folder with --output."
        )
    option = "--remove" if add is None else "--add"
    if model is None:
        raise click.UsageError(f"{option} needs --model with the folder of a run.")
    _refuse_others(option, _OF_REMOVE if add is None else _OF_ADD)
    start_backend()
    if add is None:
        _remove(model, remove, output, old_data, as_json)
    else:
        _add(model, add, output, old_data, as_json, settings)


def _refuse_others(option: str, allowed: set[str]) -> None:
    """Refuses the options that a finished run has settled, by name."""
    context = click.get_current_context()
    given = [
        parameter.opts[0]
        for parameter in context.command.params
        if parameter.name is not None
        and parameter.name not in allowed
        and context.get_parameter_source(parameter.name) is not ParameterSource.DEFAULT
    ]
    if given:
        raise click.UsageError(
            f"{', '.join(given)} can't be given with {option}: the run has been "
            "trained, and its model stays what it is. Leave it out, or train another "
            "model on all products."
        )


def _add(model, add, output, old_data, as_json, settings):
    from keras_rlr.cli.calibrate import products_in_words
    from keras_rlr.cli.progress import image_progress, training_progress
    from keras_rlr.evaluation.result_file import result_as_json
    from keras_rlr.training.add_products import add_products

    progress = training_progress()
    with _unchanged_if_stopped(model), image_progress("evaluating") as images:
        try:
            result = add_products(
                model,
                add,
                output,
                old_data=old_data,
                callbacks=[progress],
                on_progress=images,
                **settings,
            )
        finally:
            progress.close()
    config, categories = result["config"], result["categories"]
    change, calibration = config["changes"][-1], config["calibration"]
    summary = {
        "output": str(result["output"]),
        "before": None if result["kept"] is None else str(result["kept"]),
        "added": result["added"],
        "epochs": change["epochs"],
        "loss": change["losses"][-1],
        "training_images": config["data"]["training_images"],
        "calibration": calibration,
        "stored": result["stored"],
        "categories": categories,
        "mean_of_old": _mean_of_old(categories),
    }
    if as_json:
        say(result_as_json(summary))
        return
    detector = result["model"]
    epochs = "1 epoch" if summary["epochs"] == 1 else f"{summary['epochs']} epochs"
    if detector.adds_to_what_it_stores:
        how = "from its images alone; what was stored of the others stays"
    else:
        count = summary["training_images"]
        how = f"on {count} images of old and new products together, for {epochs}"
    say(f"Added {', '.join(result['added'])} {how}.")
    if getattr(detector, "uses_statistics", False):
        say("Features are standardised by the mean and spread that the run took.")
    if result["stored"]["after"]:
        before = result["stored"]["before"]
        say(f"The model holds {result['stored']['after']} (before: {before}).")
    if categories:
        _print_figures(categories)
    if calibration:
        say(
            f"Threshold {calibration['threshold']:.4g}, for a false-positive rate of "
            f"{calibration['false_positive_rate']:.3g}, from {calibration['images']} "
            "images held out."
        )
        say(products_in_words(list(detector.known_categories)))
    _say_where(result)


def _remove(model, category, output, old_data, as_json):
    from keras_rlr.evaluation.result_file import result_as_json
    from keras_rlr.training.remove_product import remove_product

    with _unchanged_if_stopped(model):
        result = remove_product(model, category, output, old_data)
    if as_json:
        summary = {
            "output": str(result["output"]),
            "before": None if result["kept"] is None else str(result["kept"]),
            "removed": category,
            "categories": list(result["model"].trained_categories),
            "went": result["done"],
            "stays": result["stays"],
            "calibration": result["config"]["calibration"],
        }
        say(result_as_json(summary))
        return
    went = "; ".join(result["done"]) or "its name"
    say(f"Removed {category}. What went: {went}.")
    if result["stays"]:
        say(f"What stays in the model: {'; '.join(result['stays'])}.")
    _say_where(result)


@contextlib.contextmanager
def _unchanged_if_stopped(model):
    """Says of a change that a signal stopped that nothing came of it."""
    try:
        yield
    except KeyboardInterrupt:
        say(f"{model} is as it was: call the command again.", err=True)
        raise


def _say_where(result):
    say(f"The model is in {result['output']}.")
    if result["kept"] is not None:
        say(f"The run as it was is in {result['kept']}.")


def _mean_of_old(categories):
    """The mean figures of the categories that have both, before and after."""
    both = [pair for pair in categories.values() if pair["before"] and pair["after"]]
    means: dict[str, dict[str, float]] = {"before": {}, "after": {}}
    for when, mean in means.items():
        for name in both[0]["before"] if both else ():
            values = [pair[when][name] for pair in both]
            values = [value for value in values if not math.isnan(value)]
            mean[name] = sum(values) / len(values) if values else math.nan
    return means


def _print_figures(categories):
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from keras_rlr.evaluation.report.page import heading, per_cent

    table = Table(caption="per cent, before → after; new products have no before")
    table.add_column("category", no_wrap=True)
    for name in _SHOWN:
        table.add_column(heading(name), justify="right")

    def cells(pair):
        for name in _SHOWN:
            before, after = (
                per_cent(pair[when][name]) if pair[when] else "-"
                for when in ("before", "after")
            )
            yield f"{before} → {after}"

    for name, pair in categories.items():
        table.add_row(Text(name), *cells(pair))
    if any(pair["before"] for pair in categories.values()):
        table.add_section()
        table.add_row(Text("mean of the old ones"), *cells(_mean_of_old(categories)))
    Console().print(table)
