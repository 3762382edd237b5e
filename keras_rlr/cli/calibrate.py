import json
from pathlib import Path

import click

from keras_rlr.cli.backend import start_backend
from keras_rlr.cli.model_location import load_run
from keras_rlr.cli.options import (
    PLACE,
    Number,
    bit_depth_option,
    json_option,
    large_images_option,
    model_option,
)
from keras_rlr.cli.printing import say
from keras_rlr.cli.region import region_option


def products_in_words(known: list[str]) -> str:
    """Whether images are decided by the threshold of the product that they show.

    Args:
        known: Names of the categories that a model recognises.
    """
    if len(known) == 1:
        return (
            f"All images are decided by the threshold of {known[0]}; those that show "
            "something else are told."
        )
    if known:
        return (
            f"The {len(known)} products are recognised by their images, and each image "
            "is decided by the threshold of its product."
        )
    return (
        "Products are not recognised: where no category is given, images are decided "
        "by the threshold of all together."
    )


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
@bit_depth_option
@region_option
@large_images_option
@json_option
def command(
    model: str,
    data: str,
    false_positive_rate: float,
    bit_depth: int | None,
    roi: str | None,
    as_json: bool,
) -> None:
    """Set the thresholds of a model from normal images.

    The images must not be those the model was trained on: these score lower than new
    ones. The threshold is stored in the model; so is one for every category that has
    images enough, or that the model can tell from the others by its images. The pixel
    threshold, from which on `predict --regions` finds regions, is stored beside it.
    --bit-depth and --roi are stored too, because the threshold is for them.
    """
    start_backend()
    from keras_rlr.detectors.loading import saved_model_path
    from keras_rlr.training.calibrate_run import calibrate_run

    detector = load_run(model, bit_depth, roi)
    calibration = calibrate_run(
        detector, saved_model_path(Path(model)), data, false_positive_rate
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
    say(products_in_words(list(detector.known_categories)))
