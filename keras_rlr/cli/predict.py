import collections
import dataclasses
import json
import warnings
from pathlib import Path

import click

from keras_rlr.cli.backend import start_backend
from keras_rlr.cli.decoder import load_decoder
from keras_rlr.cli.model_location import load_run, run_config
from keras_rlr.cli.options import (
    AT_LEAST_ONE,
    bit_depth_option,
    json_option,
    large_images_option,
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
@click.option(
    "--category",
    help="The product that the images show, by whose threshold they are decided "
    "[default: the nearest folder that is called like one, else the one that the model "
    "recognises].",
)
@bit_depth_option
@large_images_option
@json_option
def command(
    images,
    model,
    output,
    batch_size,
    show_reconstruction,
    decoder,
    category,
    bit_depth,
    as_json,
):
    """Score images and draw where they are anomalous.

    IMAGES is an image or a folder, searched with all folders in it. An image that
    can't be read gets a row with its error in scores.csv; the others go on. Ctrl-C
    stops it, and scores.csv then has the images that were done.
    """
    start_backend()
    from keras_rlr.cli.progress import image_progress
    from keras_rlr.evaluation.predict_images import predict_images
    from keras_rlr.evaluation.prediction import UNKNOWN_PRODUCT
    from keras_rlr.training.interruption import SignalGuard

    place, model = model, load_run(model, bit_depth)
    _check_category(category, model, place)
    if show_reconstruction or decoder:
        decoder = load_decoder(decoder, place, model, required=True)
    try:
        with SignalGuard(), image_progress("predicting") as progress:
            rows = predict_images(
                model,
                images,
                output,
                batch_size,
                on_progress=progress,
                decoder=decoder,
                category=category,
            )
    except KeyboardInterrupt:
        click.echo(f"What was done is in {Path(output, 'scores.csv')}.", err=True)
        raise
    failed = [row for row in rows if row.error]
    if as_json:
        summary = {"output": output, "images": len(rows), "failed": len(failed)}
        scores = [dataclasses.asdict(row) for row in rows]
        click.echo(json.dumps({**summary, "scores": scores}, indent=2))
    else:
        _print_summary(rows, failed, model.thresholds)
        click.echo(f"Scores and pictures are in {output}.")
    if strange := [row for row in rows if row.is_known_category is False]:
        warnings.warn(
            f"{len(strange)} of {len(rows)} images show no product that the model "
            f"knows ({', '.join(model.known_categories)}) and are called anomalous; in "
            f"scores.csv their category is {UNKNOWN_PRODUCT}. The first: "
            f"{strange[0].path}. If they show one, name it with --category.",
            stacklevel=1,
        )
    if failed:
        click.echo(
            f"{len(failed)} of {len(rows)} images could not be read or scored; "
            f"scores.csv says why. The first: {failed[0].error}",
            err=True,
        )
    if len(failed) == len(rows):
        raise click.exceptions.Exit(1)


def _check_category(category, model, place):
    """Refuses a category that the model was not trained on."""
    if category is None or category in model.thresholds.by_category:
        return
    config = run_config(place) or {}
    trained = config.get("data", {}).get("categories", ())
    known = {*model.thresholds.by_category, *trained}
    if category not in known:
        has = f"It knows: {', '.join(sorted(known))}." if known else "It knows none."
        raise ValueError(
            f"The model knows no category {category!r}. {has} Leave --category out to "
            "decide by the threshold of all categories together."
        )


def _print_summary(rows, failed, thresholds):
    scored = [row for row in rows if not row.error]
    if thresholds.threshold is None:
        click.echo(f"Images scored: {len(scored)}; the model has no threshold yet.")
        return
    own = thresholds.by_category
    groups = collections.defaultdict(list)
    for row in scored:
        if row.is_known_category is not False:
            groups[row.category if row.category in own else None].append(row)
    for name in sorted(groups, key=str):
        anomalous = sum(row.is_anomalous for row in groups[name])
        shown = "" if name is None else f" of {name}"
        click.echo(
            f"Images{shown} scored: {len(groups[name])}; anomalous (score at least "
            f"{thresholds.of(name):.4g}): {anomalous}."
        )
