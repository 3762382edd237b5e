"""Which engine `predict` scores with, and how it does so on Ray Data."""

import json
from pathlib import Path
from typing import Any

import click

from keras_rlr.addresses import is_address
from keras_rlr.cli.options import AT_LEAST_ONE
from keras_rlr.cli.printing import say
from keras_rlr.tables.read_parquet import SUFFIXES


def engine_options(command: Any) -> Any:
    """Adds --engine and what belongs to it."""
    for option in (
        click.option(
            "--image-column",
            help="With --engine ray: the column of Parquet files that holds images, as "
            "bytes or as paths [default: the only one that can].",
        ),
        click.option(
            "--ray-address",
            help="With --engine ray: the address of a cluster, or auto [default: this "
            "machine alone].",
        ),
        click.option(
            "--workers",
            type=AT_LEAST_ONE,
            help="With --engine ray: processes that score [default: one a GPU, or one "
            "for two CPUs].",
        ),
        click.option(
            "--retry-failed",
            is_flag=True,
            default=None,
            help="With --engine ray: try images again that an earlier call could not "
            "read or score.",
        ),
        click.option(
            "--engine",
            type=click.Choice(["keras", "ray"]),
            default="keras",
            show_default=True,
            help="What scores: this process, or many on Ray Data (pip install "
            "'keras-rlr[batch]').",
        ),
    ):
        command = option(command)
    return command


def check_engine(
    engine: str, images: str, of_ray: dict[str, Any], of_keras: dict[str, Any]
) -> None:
    """Refuses what an engine can't do.

    Args:
        engine: Its name.
        images: Path or address of the images.
        of_ray: The values of the options that are for Ray alone.
        of_keras: The values of those that write pictures and files, which Ray does not.

    Raises:
        click.BadParameter: If there are no images.
        click.UsageError: If an option is for another engine.
    """
    is_elsewhere = is_address(images)
    if not is_elsewhere and not Path(images).exists():
        message = f"Path '{images}' does not exist."
        raise click.BadParameter(message, param_hint="'IMAGES'")
    if engine == "ray":
        for option, value in of_keras.items():
            if value:
                raise click.UsageError(
                    "--engine ray writes scores alone, no pictures or maps. Leave "
                    f"{option} out, or --engine."
                )
        return
    if is_elsewhere:
        raise click.UsageError(f"'{images}' is an address: add --engine ray.")
    if Path(images).is_file() and Path(images).suffix.lower() in SUFFIXES:
        raise click.UsageError(f"'{images}' is a Parquet file: add --engine ray.")
    for option, value in of_ray.items():
        if value is not None:
            raise click.UsageError(f"{option} is for --engine ray alone.")


def predict_with_ray(
    model: Any, images: str, output: str, as_json: bool, **options: Any
) -> None:
    """Scores images on Ray Data, and says what came of it.

    Args:
        model: The detector.
        images: Path or address of the images.
        output: Path or address of the folder of results.
        as_json: Whether to print one JSON object and nothing else.
        **options: Of `score_images`.
    """
    from keras_rlr.batch import score_images
    from keras_rlr.cli.progress import image_progress
    from keras_rlr.cli.summary import print_summary, warn_of_unknown
    from keras_rlr.evaluation.prediction import UNKNOWN_PRODUCT
    from keras_rlr.training.interruption import SignalGuard

    try:
        with SignalGuard(), image_progress("predicting") as progress:
            found = score_images(model, images, output, on_progress=progress, **options)
    except KeyboardInterrupt:
        say(
            f"What was done is in {output}; the same command goes on from there.",
            err=True,
        )
        raise
    if as_json:
        summary = {
            "output": output,
            "images": found.images,
            "failed": found.failed,
            "scored_before": found.scored_before,
        }
        say(json.dumps(summary, indent=2))
    else:
        print_summary(found.categories, model.thresholds)
        before = found.scored_before
        already = f"; {before} of them were there already" if before else ""
        say(f"Scores of {found.images} images are in {output}{already}.")
    if UNKNOWN_PRODUCT in found.categories:
        strange = found.categories[UNKNOWN_PRODUCT][0]
        warn_of_unknown(model, strange, found.images, output)
    if found.failed:
        say(
            f"{found.failed} of {found.images} images could not be read or scored; "
            f"the column error says why, and --retry-failed tries them again. One of "
            f"them: {found.first_error}",
            err=True,
        )
    if found.failed == found.images:
        raise click.exceptions.Exit(1)
