import collections
import dataclasses
import json
import warnings
from pathlib import Path

import click

from keras_rlr.category_names import known_name
from keras_rlr.cli.backend import start_backend
from keras_rlr.cli.decoder import load_decoder
from keras_rlr.cli.engine import check_engine, engine_options, predict_with_ray
from keras_rlr.cli.model_location import load_run, run_config
from keras_rlr.cli.options import (
    PLACE,
    batch_size_option,
    bit_depth_option,
    json_option,
    large_images_option,
    model_option,
)
from keras_rlr.cli.printing import say
from keras_rlr.cli.region import look_for_once, region_options
from keras_rlr.cli.summary import print_summary, warn_of_unknown


@click.command()
@click.argument("images", type=PLACE)
@model_option
@click.option(
    "--output",
    type=PLACE,
    default="predictions",
    show_default=True,
    help="Folder for scores.csv and overlays; with --engine ray, for Parquet files.",
)
@batch_size_option
@click.option(
    "--show-reconstruction",
    is_flag=True,
    help="Show beside each image how the model rebuilt it; needs a decoder, see "
    "`keras-rlr decoder train`.",
)
@click.option(
    "--decoder",
    type=PLACE,
    help="The decoder's file, and --show-reconstruction [default: the one beside the "
    "model].",
)
@click.option(
    "--category",
    help="The product that the images show, by whose threshold they are decided "
    "[default: the nearest folder that is called like one, else the one that the model "
    "recognises].",
)
@click.option(
    "--regions",
    is_flag=True,
    help="Write regions.json, the connected regions of anomalous pixels in COCO's "
    "annotation format, and their masks; in pixels of the images.",
)
@click.option(
    "--maps",
    type=click.Choice(["npy", "tiff"]),
    help="Write the anomaly maps too, at the images' sizes: as float32, or in 16 bits "
    "with offset and scale in scales.csv.",
)
@engine_options
@bit_depth_option
@region_options
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
    regions,
    maps,
    engine,
    workers,
    retry_failed,
    ray_address,
    image_column,
    bit_depth,
    roi,
    ignore,
    as_json,
):
    """Score images and draw where they are anomalous.

    IMAGES is an image or a folder, searched with all folders in it. An image that
    can't be read gets a row with its error in scores.csv; the others go on. Ctrl-C
    stops it, and scores.csv then has the images that were done.

    With --engine ray many processes score, of this machine or of a cluster, and
    write Parquet files and no pictures; IMAGES may then be Parquet files with images
    or paths, and an address such as s3://bucket/folder. The same command goes on
    where it stopped.
    """
    of_ray = {
        "--workers": workers,
        "--ray-address": ray_address,
        "--image-column": image_column,
        "--retry-failed": retry_failed,
    }
    of_keras = {
        "--show-reconstruction": show_reconstruction,
        "--decoder": decoder,
        "--regions": regions,
        "--maps": maps,
    }
    check_engine(engine, images, of_ray, of_keras)
    start_backend()
    from keras_rlr.cli.progress import image_progress
    from keras_rlr.evaluation.predict_images import predict_images
    from keras_rlr.training.interruption import SignalGuard

    place, model = model, load_run(model, bit_depth)
    category = _check_category(category, model, place)
    by_image = look_for_once(model, roi, ignore)
    if engine == "ray":
        if by_image:
            raise click.UsageError(
                "--engine ray knows no masks by image. Give --roi and --ignore one "
                "mask, a box or masks by category, or leave --engine out."
            )
        predict_with_ray(
            model,
            images,
            output,
            as_json,
            batch_size=batch_size,
            category=category,
            workers=workers,
            address=ray_address,
            image_column=image_column,
            retry_failed=bool(retry_failed),
        )
        return
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
                regions=regions,
                maps=maps,
                regions_of_interest=by_image,
            )
    except KeyboardInterrupt:
        say(f"What was done is in {Path(output, 'scores.csv')}.", err=True)
        raise
    failed = [row for row in rows if row.error]
    if as_json:
        summary = {"output": output, "images": len(rows), "failed": len(failed)}
        scores = [dataclasses.asdict(row) for row in rows]
        say(json.dumps({**summary, "scores": scores}, indent=2))
    else:
        print_summary(_counts(rows), model.thresholds)
        if regions:
            _print_regions(rows, Path(output, "regions.json"))
        if maps == "tiff":
            say(
                "Values of a map are offset + scale * pixel, by "
                f"{Path(output, 'anomaly_maps', 'scales.csv')}."
            )
        say(f"Scores and pictures are in {output}.")
    if strange := [row for row in rows if row.is_known_category is False]:
        warn_of_unknown(model, len(strange), len(rows), "scores.csv", strange[0].path)
    if failed:
        say(
            f"{len(failed)} of {len(rows)} images could not be read or scored; "
            f"scores.csv says why. The first: {failed[0].error}",
            err=True,
        )
    if len(failed) == len(rows):
        raise click.exceptions.Exit(1)


def _check_category(category, model, place):
    """Refuses a category that the model was not trained on, warns of one untested.

    Returns:
        The category as the model calls it; None where it is to be recognised.
    """
    if category is None or category in model.thresholds.by_category:
        return category
    config = run_config(place) or {}
    trained = config.get("data", {}).get("categories", ())
    recognised = model.known_categories
    known = {*model.thresholds.by_category, *trained}
    known.update(recognised, model.trained_categories)
    name = known_name(category, known)
    of_all, of_each = "all categories together", "the product recognised in each image"
    if name is None:
        has = f"It knows: {', '.join(sorted(known))}." if known else "It knows none."
        raise ValueError(
            f"The model knows no category {category!r}. {has} Leave --category out to "
            f"decide by the threshold of {of_each if recognised else of_all}."
        )
    is_recognised_instead = bool(recognised) and name not in recognised
    if model.threshold is not None and name not in model.thresholds.by_category:
        warnings.warn(
            f"The model has no threshold of {name!r}: it was trained on it, and "
            "calibrated without it, or on too few images of it. So the threshold of "
            f"{of_each if is_recognised_instead else of_all} decides.",
            stacklevel=2,
        )
    return None if is_recognised_instead else name


def _print_regions(rows, path):
    found = [row for row in rows if row.regions]
    total = sum(row.regions for row in found)
    say(f"Regions: {total} in {len(found)} images, in {path}.")
    quiet = sum(bool(row.is_anomalous) and row.regions == 0 for row in rows)
    if quiet:
        say(
            f"{quiet} anomalous images have none: their maps stay below the pixel "
            "threshold."
        )


def _counts(rows):
    """Images that were scored and those that are anomalous, by category."""
    counts: dict = collections.defaultdict(lambda: [0, 0])
    for row in rows:
        if not row.error:
            counts[row.category_name][0] += 1
            counts[row.category_name][1] += bool(row.is_anomalous)
    return counts
