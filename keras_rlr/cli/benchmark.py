import itertools
import json
import re
import statistics
import time
from pathlib import Path
from typing import Any

import click

from keras_rlr.cli.backend import start_backend
from keras_rlr.cli.data_location import data_location
from keras_rlr.cli.options import (
    AT_LEAST_ONE,
    LEVELS,
    NAMES,
    PLACE,
    WHOLE_NUMBERS,
    bit_depth_option,
    categories_option,
    data_options,
    large_images_option,
)
from keras_rlr.cli.printing import say

_FIGURES = ("image_auroc", "pixel_auroc", "pixel_aupro")


@click.group()
def command() -> None:
    """Compare with the paper."""


@command.command()
@click.option(
    "--table", type=click.IntRange(1, 5), required=True, help="Number of the table."
)
@data_options
@click.option(
    "--output", type=PLACE, help="Folder of the runs [default: runs/table_N]."
)
@categories_option
@click.option(
    "--methods",
    type=NAMES,
    help="Of tables 1 and 2, what is trained: rlr,patchcore,… or all [default: rlr].",
)
@click.option("--preset", help="What all rows share; `keras-rlr info` lists them.")
@click.option("--backbone", help="Backbone of all rows.")
@click.option(
    "--levels",
    type=LEVELS,
    metavar="LEVELS",
    help="Feature levels of all rows: 2,3; groups of blocks: 3-6,7-10.",
)
@click.option("--hidden-dims", type=WHOLE_NUMBERS, help="Width a level: 256,512.")
@click.option(
    "--recipe",
    type=click.Choice(["default", "paper"]),
    help="Length, batch size and learning rate.",
)
@click.option("--epochs", type=AT_LEAST_ONE, help="Passes over the images.")
@click.option("--batch-size", type=AT_LEAST_ONE, help="Images a step.")
@bit_depth_option
@large_images_option
@click.option(
    "--seeds",
    type=AT_LEAST_ONE,
    default=1,
    show_default=True,
    help="How often each row is trained, with seeds from 0 on.",
)
def tables(
    table: int,
    data: str | None,
    dataset: str | None,
    data_dir: str | None,
    output: str | None,
    methods: tuple[str, ...] | None,
    seeds: int,
    **settings: Any,
) -> None:
    """Train what a table of the paper compares, and print its rows beside ours.

    Tables 1 and 2 compare methods on MVTec AD and VisA: those of --methods are trained,
    the others are as printed. Tables 3, 4 and 5 compare attentions, levels and the
    factor alpha: every row is trained. All of it on any data set. No images are held
    out, and the last epoch counts. Runs that are finished are not repeated, others are
    resumed; runs of other options or images are refused. They share the features of the
    images, in --output.
    """
    location = data_location(data, dataset, data_dir)
    start_backend()
    from keras_rlr.atomic_file import check_writable, write_text
    from keras_rlr.evaluation.paper_tables import TRAINED_ROWS, printed_rows

    if methods and table > 2:
        raise click.UsageError(f"Table {table} compares variants of RLR alone.")
    rows = _methods(methods, settings) if methods else TRAINED_ROWS[table]
    compared = () if methods else rows.values()
    clash = [k for row in compared for k in row if settings.get(k) is not None]
    if table == 4 and settings["hidden_dims"]:
        clash.append("hidden_dims")
    if clash:
        option = "--" + clash[0].replace("_", "-")
        raise click.UsageError(f"Table {table} compares by {option}; leave it out.")
    place = Path(output) if output else Path("runs") / f"table_{table}"
    check_writable(place)
    runs = {}
    for name, arguments in rows.items():
        folder = place / re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
        arguments = {**settings, "feature_cache": place / "features", **arguments}
        runs[name] = [
            (folder / f"seed_{seed}", {**arguments, **_settings_of_row(seed)})
            for seed in range(seeds)
        ]
    for each in itertools.chain.from_iterable(runs.values()):
        _refuse_other_settings(*each)
    results = {
        name: [_row(location, *each) for each in of_seeds]
        for name, of_seeds in runs.items()
    }
    printed = printed_rows(table)
    if methods:
        _print_methods(results, printed, table)
    elif table < 3:
        _print_categories(results["RLR"], printed)
    else:
        _print_rows(results, printed)
    write_text(place / "table.csv", _as_csv(results))
    say(f"The figures are in {place / 'table.csv'}, the runs beside it.")


def _settings_of_row(seed):
    return {"seed": seed, "calibration_fraction": 0.0}


def _row(location, folder, settings):
    """Trains and measures a row of the table with a seed, unless that was done."""
    from keras_rlr.atomic_file import write_text
    from keras_rlr.cli.progress import image_progress, training_progress
    from keras_rlr.datasets import FolderDataset
    from keras_rlr.evaluation.describe_evaluation import describe_evaluation
    from keras_rlr.evaluation.evaluate_model import measure
    from keras_rlr.evaluation.result_file import result_as_json
    from keras_rlr.evaluation.test_predictions import predict_test_set
    from keras_rlr.training import train
    from keras_rlr.training.run_folder import RunFolder

    file = folder / "metrics.json"
    resumed = (folder / "config.json").is_file()
    test = FolderDataset(location.folder, "test", settings["categories"])
    if resumed and file.is_file():
        config = RunFolder(folder).read_config(("settings", "data"))
        measured = json.loads(file.read_text(encoding="utf-8"))
        fitted = FolderDataset(location.folder, "train", settings["categories"])
        if (
            measured["data"]["fingerprint"] == test.fingerprint()
            and config["data"]["training_fingerprint"] == fitted.fingerprint()
        ):
            return measured
    say(f"Training {folder}", err=True)
    began = time.monotonic()
    with training_progress() as progress:
        run = train(
            location.folder,
            folder,
            resume=resumed,
            callbacks=[progress],
            **settings,
        )
    trained = time.monotonic()
    with image_progress("evaluating") as on_progress:
        predictions = predict_test_set(run["model"], test, on_progress=on_progress)
    cost = {
        # A resumed run took longer than this part of it.
        "training_seconds": sum(row["seconds"] for row in run["history"])
        if resumed
        else trained - began,
        "milliseconds_an_image": 1000 * (time.monotonic() - trained) / len(test),
        "model_bytes": (folder / "model.keras").stat().st_size,
    }
    result = measure(predictions)
    evaluation = describe_evaluation(
        run["model"], test, predictions, result, run=run["config"]
    )
    evaluation["cost"] = cost
    write_text(file, result_as_json(evaluation) + "\n")
    return json.loads(result_as_json(evaluation))


def _refuse_other_settings(folder, settings):
    """Refuses a run that was begun otherwise: its figures are not those of this row."""
    from keras_rlr.training.run_folder import RunFolder, settings_fit_for_json

    run = RunFolder(folder)
    if not run.config.is_file():
        return
    asked = {**settings, "feature_cache": None}
    if asked["categories"] is not None:
        asked["categories"] = sorted(asked["categories"])
    asked = settings_fit_for_json(asked)
    found = run.read_config()["settings"]
    for name in sorted({*asked, *found}):
        if asked.get(name) != found.get(name):
            raise click.UsageError(
                f"The run in '{folder}' was begun {_in_words(name, found.get(name))}, "
                f"and this row is {_in_words(name, asked.get(name))}. Give the options "
                "that it was begun with, or another --output."
            )


def _in_words(name, value):
    return f"without {name}" if value is None else f"with {name} {value!r}"


def _as_csv(results):
    from keras_rlr.tables.table_text import table_text

    figures = list(results[next(iter(results))][0]["mean"])
    rows = [["row", "seed", "category", "epochs", *figures]]
    for name, of_seeds in results.items():
        for seed, result in enumerate(of_seeds):
            # Not a dict of all rows: a category may be called "mean".
            parts = [*result["categories"].items(), ("mean", result["mean"])]
            for category, values in parts:
                cells = ["" if values[f] is None else repr(values[f]) for f in figures]
                epochs = result["protocol"]["epoch"]
                rows.append([name, seed, category, epochs, *cells])
    return table_text(rows)


def _print_rows(results, printed):
    rows = []
    for name, of_seeds in results.items():
        cells = [_spread([r["mean"][f] for r in of_seeds]) for f in _FIGURES]
        paper = printed.get(name, {}).get("mean")
        rows.append([name, _pair(paper), *cells])
    _print(["row", "paper, image / pixel", *_headings()], rows)


def _print_categories(of_seeds, printed):
    rows = []
    of_category = {
        name: [r["categories"][name] for r in of_seeds]
        for name in of_seeds[0]["categories"]
    }
    of_all = ("mean", [r["mean"] for r in of_seeds])
    for name, parts in [*of_category.items(), of_all]:
        cells = [_spread([part[f] for part in parts]) for f in _FIGURES]
        rows.append([name, *(_pair(p.get(name)) for p in printed.values()), *cells])
    _print(["category", *printed, *(f"ours: {h}" for h in _headings())], rows)


def _methods(names, settings):
    """Rows of methods: arguments that settings are to be overridden by."""
    from keras_rlr.methods.by_name import METHODS, method_for, takes

    rows = {}
    for name in METHODS if names == ("all",) else names:
        method = method_for(name)
        options = ("hidden_dims", "levels", "recipe", "backbone")
        unused = [option for option in options if not takes(method, option)]
        if not method.has_steps:
            unused.append("epochs")
        given = [o for o in unused if settings.get(o) is not None]
        if given:
            words = ", ".join("--" + option.replace("_", "-") for option in given)
            say(f"{method.__name__} has no use for {words}.", err=True)
        row = dict.fromkeys(unused)
        if not method.profits_from_cache:
            row["feature_cache"] = None
        # Named here, because a row without a backbone would not tell how large it is.
        row["preset"] = method.preset_for(settings.get("backbone"))
        rows[method.__name__] = {"method": name, **row}
    if settings.get("preset"):
        raise click.UsageError(
            "--methods have presets of their own; name a --backbone."
        )
    return rows


def _print_methods(results, printed, table):
    from keras_rlr.evaluation.paper_tables import MEASURED_BY_OTHERS

    others = MEASURED_BY_OTHERS.get(table, {})
    rows = []
    for name in sorted({*results, *printed}, key=[*results, *printed].index):
        of_seeds = results.get(name, [])
        figures = [_spread([r["mean"][f] for r in of_seeds]) for f in _FIGURES]
        costs = [
            _median([r["cost"][key] / unit for r in of_seeds])
            for key, unit in (
                ("training_seconds", 1),
                ("model_bytes", 2**20),
                ("milliseconds_an_image", 1),
            )
        ]
        paper = _pair(printed.get(name, {}).get("mean"))
        rows.append([name, paper, _pair(others.get(name)), *figures, *costs])
    titles = ["method", "paper, image / pixel", "others, image / pixel"]
    costs = ["training, s", "model, MiB", "ms an image"]
    _print([*titles, *(f"ours: {h}" for h in _headings()), *costs], rows)
    say(
        "Paper: as printed, on the paper's data set. Others: published by others, on "
        "the same. Ours: measured here, on your data; a row without was not trained. "
        "OmniAL and JNLD have no published code."
    )


def _median(values):
    return f"{statistics.median(values):.1f}" if values else "-"


def _headings():
    from keras_rlr.evaluation.report.page import heading

    return [heading(figure) for figure in _FIGURES]


def _pair(pair):
    return "-" if pair is None else f"{pair[0]:.1f} / {pair[1]:.1f}"


def _spread(values):
    values = [100 * value for value in values if value is not None]
    if not values:
        return "-"
    mean = f"{statistics.mean(values):.1f}"
    if len(values) == 1:
        return mean
    return f"{mean} ({min(values):.1f} to {max(values):.1f})"


def _print(titles, rows):
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table()
    table.add_column(titles[0], no_wrap=True)
    for title in titles[1:]:
        table.add_column(title, justify="right")
    for row in rows:
        table.add_row(*map(Text, row))  # brackets in a name are no markup
    # Not cut to a terminal that is narrow, nor where there is none.
    Console(width=max(80, 24 * len(titles))).print(table)
