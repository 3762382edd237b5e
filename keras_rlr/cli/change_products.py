"""What `keras-rlr train` does with --add, --feedback and --remove."""

import contextlib
from collections.abc import Iterator
from typing import Any

import click
from click.core import ParameterSource

from keras_rlr.cli.backend import start_backend
from keras_rlr.cli.printing import say

_OF_BOTH = {"model", "output", "data", "as_json", "allow_large_images"}
_OF_ADD = {*_OF_BOTH, "add", "categories", "epochs", "feature_cache"}
_OF_FEEDBACK = {
    *_OF_BOTH,
    *("feedback", "feedback_images", "epochs", "feature_cache"),
}
_OF_REMOVE = {*_OF_BOTH, "remove"}
# What the table shows; --json has all figures.
_SHOWN = ("image_auroc", "pixel_auroc", "pixel_aupro")


def change_products(
    add: str | None,
    remove: str | None,
    feedback: str | None,
    feedback_images: str | None,
    model: str | None,
    output: str | None = None,
    old_data: str | None = None,
    as_json: bool = False,
    **settings: Any,
) -> None:
    """Adds products to a finished run, has it learn false alarms, or takes one out.

    Args:
        add: What the user gave for --add.
        remove: What the user gave for --remove.
        feedback: What the user gave for --feedback.
        feedback_images: What the user gave for --feedback-images.
        model: What the user gave for --model.
        output: What the user gave for --output.
        old_data: What the user gave for --data.
        as_json: Whether to print one JSON object.
        **settings: Other arguments of `add_products`.

    Raises:
        click.UsageError: If options are missing, or can't be changed.
    """
    if feedback_images is not None and feedback is None:
        raise click.UsageError("--feedback-images belongs to --feedback.")
    given = {"--add": add, "--feedback": feedback, "--remove": remove}
    chosen = [option for option, value in given.items() if value is not None]
    if len(chosen) != 1:
        raise click.UsageError(
            "--model names the run that --add DIR adds products to, that learns the "
            "false alarms in --feedback CSV, or that --remove CATEGORY takes a product "
            "from: give one of the three. To train another model, name its folder with "
            "--output."
        )
    (option,) = chosen
    if model is None:
        raise click.UsageError(f"{option} needs --model with the folder of a run.")
    allowed = {"--add": _OF_ADD, "--feedback": _OF_FEEDBACK, "--remove": _OF_REMOVE}
    _refuse_others(option, allowed[option])
    start_backend()
    if remove is not None:
        _remove(model, remove, output, old_data, as_json)
    elif add is not None:
        _add(model, add, output, old_data, as_json, settings)
    else:
        del settings["categories"]
        _learn(model, feedback, feedback_images, output, old_data, as_json, settings)


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
    from keras_rlr.training.add_products import add_products

    result = _with_progress(add_products, model, add, output, old_data, settings)
    if as_json:
        _say_json({"added": result["added"]}, result)
        return
    say(f"Added {', '.join(result['added'])} {_how(result)}.")
    _say_what_it_is(result)


def _learn(model, feedback, images, output, old_data, as_json, settings):
    from keras_rlr.training.feedback import Feedback, folder_of_table
    from keras_rlr.training.learn_feedback import learn_feedback

    judged = Feedback.read(feedback, [images or folder_of_table(feedback)])
    result = _with_progress(learn_feedback, model, judged, output, old_data, settings)
    told = {name: result[name] for name in ("learned", "held_out", "known", "feedback")}
    if as_json:
        _say_json(told, result)
        return
    if judged.unjudged:
        say(f"Rows of the feedback without a verdict: {judged.unjudged}; not used.")
    if result["known"]:
        say(
            f"{result['known']} images marked normal are the run's own, or copies of "
            "others; they are not learned again."
        )
    learned = ", ".join(f"{count} of {name}" for name, count in told["learned"].items())
    say(
        f"Learned images that were marked normal ({learned}) {_how(result)}. "
        f"{result['held_out']} others of them are held out to set thresholds."
    )
    for line in judged_in_words(result["feedback"]):
        say(line)
    _say_what_it_is(result)


def judged_in_words(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Lines of how images that people judged are decided before and after.

    Args:
        rows: "feedback" of what `learn_feedback` returned.
    """
    for verdict, what in (
        ("normal", "called anomalous"),
        ("anomalous", "found; they are not learned from"),
    ):
        chosen = [row for row in rows if row["verdict"] == verdict]
        decided = [row for row in chosen if row["before"]["is_anomalous"] is not None]
        if decided:
            before, after = (
                sum(bool(row[when]["is_anomalous"]) for row in decided)
                for when in ("before", "after")
            )
            yield (
                f"Images marked {verdict}: {len(chosen)}; {before} → {after} of them "
                f"are {what}."
            )
    lost = [
        row
        for row in rows
        if row["verdict"] == "anomalous"
        and row["before"]["is_anomalous"]
        and not row["after"]["is_anomalous"]
    ]
    if lost:
        yield (
            f"Found before and not any more: {len(lost)} (the first: "
            f"{lost[0]['path']}). Look whether the false alarms looked like them; the "
            "run as it was can be taken again."
        )


def _with_progress(function, model, what, output, old_data, settings):
    """Calls `add_products` or `learn_feedback`."""
    from keras_rlr.cli.progress import image_progress, training_progress

    with (
        _unchanged_if_stopped(model),
        image_progress("evaluating") as images,
        training_progress() as progress,
    ):
        return function(
            model,
            what,
            output,
            old_data=old_data,
            callbacks=[progress],
            on_progress=images,
            **settings,
        )


def _say_json(first, result):
    from keras_rlr.evaluation.result_file import result_as_json

    config = result["config"]
    change = config["changes"][-1]
    summary = {
        "output": str(result["output"]),
        "before": None if result["kept"] is None else str(result["kept"]),
        **first,
        "epochs": change["epochs"],
        "loss": change["losses"][-1],
        "training_images": config["data"]["training_images"],
        "calibration": config["calibration"],
        "stored": result["stored"],
        "categories": result["categories"],
        "mean_of_old": _mean_of_old(result["categories"]),
    }
    say(result_as_json(summary))


def _how(result):
    """How the model learned, in words."""
    config = result["config"]
    if result["model"].adds_to_what_it_stores:
        return "from the new images alone; what was stored of the others stays"
    count = config["changes"][-1]["epochs"]
    epochs = "1 epoch" if count == 1 else f"{count} epochs"
    images = config["data"]["training_images"]
    return f"on {images} images, old and new together, for {epochs}"


def _say_what_it_is(result):
    """Says what became of the model, its figures and where it is."""
    from keras_rlr.cli.calibrate import held_out_in_words

    detector, calibration = result["model"], result["config"]["calibration"]
    if getattr(detector, "uses_statistics", False):
        say("Features are standardised by the mean and spread that the run took.")
    if result["stored"]["after"]:
        before = result["stored"]["before"]
        say(f"The model holds {result['stored']['after']} (before: {before}).")
    if result["categories"]:
        _print_figures(result["categories"])
    if calibration:
        for line in held_out_in_words(calibration, detector):
            say(line)
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
    from keras_rlr.evaluation.evaluate_model import mean_figures

    both = [pair for pair in categories.values() if pair["before"] and pair["after"]]
    return {
        when: mean_figures([pair[when] for pair in both]) if both else {}
        for when in ("before", "after")
    }


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
