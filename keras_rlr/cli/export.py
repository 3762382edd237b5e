"""Writing a model for other runtimes."""

import contextlib
import json
import warnings
from collections.abc import Iterator
from pathlib import Path

import click

from keras_rlr.cli.backend import start_backend
from keras_rlr.cli.failures import is_users_own
from keras_rlr.cli.model_location import load_run, run_config
from keras_rlr.cli.options import PLACE, json_option, large_images_option, model_option
from keras_rlr.cli.printing import say
from keras_rlr.cli.standard_streams import hidden_standard_error


@contextlib.contextmanager
def hidden_converter_notes(debug: bool) -> Iterator[None]:
    """Keeps from the user what converters log for their developers.

    Warnings are shown afterwards. What was logged is shown where the work fails for a
    reason that its message may not tell.

    Args:
        debug: Whether to show all of it, as it comes.
    """
    if debug:
        yield
        return
    users_own = None
    try:
        with warnings.catch_warnings(record=True) as caught, hidden_standard_error():
            try:
                yield
            except Exception as error:
                if not is_users_own(error):
                    raise
                users_own = error
    finally:
        for warning in caught:
            warnings.showwarning(
                warning.message, warning.category, warning.filename, warning.lineno
            )
    if users_own is not None:
        raise users_own


@click.command()
@model_option
@click.option(
    "--format",
    "file_format",
    type=click.Choice(["saved_model", "litert", "onnx", "openvino"]),
    default="saved_model",
    show_default=True,
    help="What is written.",
)
@click.option(
    "--output",
    required=True,
    type=PLACE,
    help="Folder that is not there yet, numbered for TensorFlow Serving "
    "(serving/rlr/1); or a file that ends in .tflite, .onnx or .xml.",
)
@click.option(
    "--quantize",
    type=click.Choice(["float16", "dynamic", "int8"]),
    help="Smaller numbers, of LiteRT alone: of weights (float16, dynamic), or of "
    "activations too (int8).",
)
@click.option(
    "--data",
    type=PLACE,
    help="Folder of normal images to compare on, and for int8 to measure activations "
    "on [default: those the run was trained on, if they are there].",
)
@large_images_option
@json_option
def command(
    model: str,
    file_format: str,
    output: str,
    quantize: str | None,
    data: str | None,
    as_json: bool,
) -> None:
    """Write a model for serving, phones and other runtimes.

    Preprocessing, threshold and decision are inside. The export is run and compared
    with the model before it takes its name; a manifest beside it has the figures.
    """
    start_backend()
    from keras_rlr.export.export_model import check_arguments, export_model
    from keras_rlr.export.target import Target

    Target(output, file_format)
    place, detector = Path(model), load_run(model)
    config = run_config(place)
    images = _images(data, config)
    check_arguments(detector, file_format, quantize, images)
    debug = click.get_current_context().find_root().params["debug"]
    with hidden_converter_notes(debug):
        manifest = export_model(
            detector,
            output,
            file_format,
            quantize,
            images=images,
            categories=config["data"]["categories"] if config else (),
            evaluation=_evaluation(place, detector),
        )
    if as_json:
        say(json.dumps({"output": output, **manifest}, indent=2))
        return
    _print(manifest, output)


def _images(data, config):
    """Normal images of a folder or of the run's data set, or None."""
    from keras_rlr.datasets import FolderDataset
    from keras_rlr.training.calibrate_run import normal_images

    if data is not None:
        return normal_images(data)
    if config is None:
        return None
    categories = config["settings"].get("categories")
    try:
        return FolderDataset(config["data"]["path"], "train", categories)
    except (OSError, ValueError):
        # It is elsewhere by now; drawn images will do.
        return None


def _evaluation(place, detector):
    """The figures of `keras-rlr evaluate`, if they are of this model."""
    from keras_rlr.detectors.weights_version import weights_version

    folder = place if place.is_dir() else place.parent
    file = folder / "evaluation" / "metrics.json"
    if not file.is_file():
        return None
    kept = ("categories", "mean", "pooled", "protocol", "data")
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        if found["model_version"] != weights_version(detector):
            return None
        return {name: found[name] for name in kept}
    except (KeyError, TypeError, ValueError, RecursionError):
        warnings.warn(
            f"'{file}' is damaged, so the manifest has no figures of an evaluation.",
            stacklevel=2,
        )
        return None


def _print(manifest, output):
    for name, result in manifest["comparison"].items():
        # Of models that recognise products.
        moved = result.get("categories_changed", 0)
        taken = f", {moved} images taken for another product or none" if moved else ""
        say(
            f"{name} against the model, on {result['images']} images: maps differ by "
            f"{result['map_difference']:.2g} of the largest value, scores by "
            f"{result['score_difference']:.2g}; {result['decisions_changed']} "
            f"decisions changed{taken}."
        )
    size = sum(file["bytes"] for file in manifest["files"].values())
    count = sum(manifest["operators"].values())
    say(f"{size / 2**20:.1f} MiB, {count} operators.")
    if manifest["format"] == "saved_model":
        if not manifest["warm_up_requests"]:
            say("Without warm-up requests: they need tensorflow-serving-api.", err=True)
        if not Path(output).name.isdigit():
            say(
                f"TensorFlow Serving loads folders that are numbered, like {output}/1.",
                err=True,
            )
    say(f"The export is {output}.")
