import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from keras_rlr.cli.backend import start_backend
from keras_rlr.cli.model_location import load_run, model_file
from keras_rlr.cli.options import (
    PLACE,
    Number,
    bit_depth_option,
    json_option,
    large_images_option,
    model_option,
)
from keras_rlr.cli.printing import say
from keras_rlr.cli.region import chosen_region, region_options

_MOST_SHOWN = 10


def products_in_words(model: Any) -> str:
    """Whether images are decided by the threshold of the product that they show.

    Args:
        model: The calibrated detector.
    """
    known = list(model.known_categories)
    without = [name for name in known if name not in model.thresholds.by_category]
    if len(known) == 1:
        return (
            f"All images are decided by the threshold of {known[0]}; those that show "
            "something else are told."
        )
    if known:
        return (
            f"The {len(known)} products are recognised by their images, and each image "
            "is decided by the threshold of its product"
            + (f", of {', '.join(without)} by that of all." if without else ".")
        )
    return (
        "Products are not recognised: where no category is given, images are decided "
        "by the threshold of all together."
    )


def held_out_in_words(calibration: dict[str, Any], model: Any) -> Iterator[str]:
    """Lines of the threshold that images which were held out have set.

    Args:
        calibration: What `config.json` says of it.
        model: The detector.
    """
    yield (
        f"Threshold {calibration['threshold']:.4g}, for a false-positive rate of "
        f"{calibration['false_positive_rate']:.3g}, from {calibration['images']} "
        "images held out."
    )
    yield products_in_words(model)


@click.command()
@model_option
@click.option(
    "--data",
    required=True,
    type=PLACE,
    help="Normal images: any folder of images, or a data set, whose normal training "
    "images are used. Of the data set the run was trained on, those held out.",
)
@click.option(
    "--false-positive-rate",
    type=Number(0, 1, min_open=True, max_open=True),
    default=0.01,
    show_default=True,
    help="Share of new normal images that may be called anomalous.",
)
@click.option(
    "--feedback",
    type=PLACE,
    metavar="CSV",
    help="What people say of images: the scores.csv or Parquet of `predict` with a "
    "column verdict, normal (a false alarm: joins the normal images) or anomalous "
    "(missed: it is told from which rate on it would be found).",
)
@click.option(
    "--feedback-images",
    type=PLACE,
    metavar="DIR",
    help="Folder that the paths in --feedback are below: the one `predict` was given "
    "[default: --data, or else the table's own].",
)
@bit_depth_option
@region_options
@large_images_option
@json_option
def command(
    model: str,
    data: str,
    false_positive_rate: float,
    feedback: str | None,
    feedback_images: str | None,
    bit_depth: int | None,
    roi: str | None,
    ignore: str | None,
    as_json: bool,
) -> None:
    """Set the thresholds of a model from normal images.

    The images must not be those the model was trained on: these score lower than new
    ones. The threshold is stored in the model; so is one for every category that has
    images enough, or that the model can tell from the others by its images. The pixel
    threshold, from which on `predict --regions` finds regions, is stored beside it.
    --bit-depth, --roi and --ignore are stored too, because the threshold is for them,
    but for masks by image, which `predict` is to be given again.
    """
    if feedback_images is not None and feedback is None:
        raise click.UsageError("--feedback-images belongs to --feedback.")
    start_backend()
    from keras_rlr.addresses import is_address
    from keras_rlr.atomic_file import check_writable
    from keras_rlr.training.calibrate_run import calibrate_run
    from keras_rlr.training.feedback import Feedback, folder_of_table
    from keras_rlr.training.run_folder import RunFolder

    judged = None
    if feedback is not None:
        places = [Path(feedback_images or data)]
        if feedback_images is None and not is_address(feedback):
            places.append(folder_of_table(feedback))
        judged = Feedback.read(feedback, places)
    path = model_file(model)
    check_writable(path.parent)
    by_image = None
    # Before it is read: what another process changes after that would be lost.
    with RunFolder(path.parent).lock():
        detector = load_run(model, bit_depth)
        if not (roi is None and ignore is None):
            region, by_image = chosen_region(detector, roi, ignore)
            if by_image is None:
                detector.look_within(region)
        calibration = calibrate_run(
            detector, path, data, false_positive_rate, judged, by_image
        )
    if as_json:
        say(json.dumps(calibration, indent=2))
        return
    say(
        f"Threshold {calibration['threshold']:.4g}, for a false-positive rate of "
        f"{false_positive_rate:g}, from {calibration['images']} normal images."
    )
    if calibration["trained_on"]:
        say(
            f"{calibration['trained_on']} others were left out: the model was trained "
            "on them."
        )
    for name, threshold in calibration["category_thresholds"].items():
        say(f"  {name}: {threshold:.4g}")
    say(
        f"Pixel threshold {calibration['pixel_threshold']:.4g}: a map has regions "
        "where it reaches it, that of a normal image at the same rate."
    )
    for name, threshold in calibration["category_pixel_thresholds"].items():
        say(f"  {name}: {threshold:.4g}")
    if by_image:
        say(
            "The masks by image are not kept in the model, whose own region of "
            "interest stays: give --roi and --ignore to `predict` and `evaluate` too."
        )
    say(products_in_words(detector))
    if judged is not None:
        for line in _feedback_in_words(calibration["feedback"], judged.unjudged):
            say(line)


def _feedback_in_words(told: dict[str, Any], unjudged: int) -> Iterator[str]:
    """Lines of what became of the images that people judged."""
    if unjudged:
        yield f"Rows of the feedback without a verdict: {unjudged}; they count nothing."
    if told["normal"]:
        yield (
            f"Images marked normal: {told['normal']}; {told['joined']} of them joined "
            f"the normal images, {told['called_anomalous']} are still called anomalous."
        )
    if told["left_out"]:
        yield (
            f"{told['left_out']} images in --data were marked anomalous and left out."
        )
    if not told["anomalous"]:
        return
    yield (
        f"Images marked anomalous: {told['anomalous']}; {told['found']} of them are "
        "found by these thresholds. They move no threshold: whether to accept more "
        "false alarms is yours to say, with --false-positive-rate."
    )
    missed = [image for image in told["images"] if not image["found"]]
    for image in missed[:_MOST_SHOWN]:
        yield (
            f"  {image['path']}: score {image['anomaly_score']:.4g}, threshold "
            f"{image['threshold']:.4g}; found from a rate of about "
            f"{image['false_positive_rate']:.2g} on"
        )
    if len(missed) > _MOST_SHOWN:
        yield f"  … and {len(missed) - _MOST_SHOWN} more; --json has all of them."
    if missed:
        rates = ", ".join(f"{count} at {rate:g}" for rate, count in told["found_at"])
        yield f"Found at other false-positive rates: {rates}."
