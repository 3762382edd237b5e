import dataclasses
import json

import click

from keras_rlr.cli.backend import start_backend
from keras_rlr.cli.decoder import load_decoder
from keras_rlr.cli.model_location import load_run
from keras_rlr.cli.options import (
    AT_LEAST_ONE,
    bit_depth_option,
    json_option,
    model_option,
)


@click.command()
@click.argument("images", type=click.Path(exists=True))
@model_option
@click.option(
    "--output",
    type=click.Path(),
    default="predictions",
    show_default=True,
    help="Folder for scores.csv and overlays.",
)
@click.option("--batch-size", type=AT_LEAST_ONE, default=16, show_default=True)
@click.option(
    "--show-reconstruction",
    is_flag=True,
    help="Show beside each image how the model rebuilt it; needs a decoder, see "
    "`keras-rlr decoder train`.",
)
@click.option("--decoder", type=click.Path(), help="The decoder's file.")
@bit_depth_option
@json_option
def command(
    images,
    model,
    output,
    batch_size,
    show_reconstruction,
    decoder,
    bit_depth,
    as_json,
):
    """Score images and draw where they are anomalous.

    IMAGES is an image or a folder, searched with all folders in it. An image that
    can't be read gets a row with its error in scores.csv; the others go on.
    """
    start_backend()
    from keras_rlr.cli.progress import image_progress
    from keras_rlr.evaluation.predict_images import predict_images

    place, model = model, load_run(model, bit_depth)
    if show_reconstruction or decoder:
        decoder = load_decoder(decoder, place, model, required=True)
    with image_progress("predicting") as progress:
        rows = predict_images(
            model, images, output, batch_size, on_progress=progress, decoder=decoder
        )
    failed = [row for row in rows if row.error]
    if as_json:
        summary = {"output": output, "images": len(rows), "failed": len(failed)}
        scores = [dataclasses.asdict(row) for row in rows]
        click.echo(json.dumps({**summary, "scores": scores}, indent=2))
    else:
        _print_summary(rows, failed, model.threshold)
        click.echo(f"Scores and pictures are in {output}.")
    if failed:
        click.echo(
            f"{len(failed)} of {len(rows)} images could not be read; scores.csv says "
            f"why. The first: {failed[0].error}",
            err=True,
        )
    if len(failed) == len(rows):
        raise click.exceptions.Exit(1)


def _print_summary(rows, failed, threshold):
    scored = len(rows) - len(failed)
    if threshold is None:
        click.echo(f"Images scored: {scored}; the model has no threshold yet.")
    else:
        anomalous = sum(bool(row.is_anomalous) for row in rows)
        click.echo(
            f"Images scored: {scored}; anomalous (score at least {threshold:.4g}): "
            f"{anomalous}."
        )
