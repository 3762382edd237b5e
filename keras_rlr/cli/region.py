"""The option that says where on images to look."""

import re
from typing import Any

import click

from keras_rlr.cli.options import PLACE

region_option = click.option(
    "--roi",
    type=PLACE,
    metavar="MASK|BOX",
    help="Region of interest: an image that is above 0 where to look, or "
    "LEFT,TOP,WIDTH,HEIGHT in shares of the image's sides, 0.1,0,0.8,1. Elsewhere "
    "nothing is anomalous.",
)
_NUMBER = r"\s*(\d*\.?\d+)\s*"
_BOX = re.compile(",".join([_NUMBER] * 4), re.ASCII)


def read_region(words: str | None) -> str | None:
    """Returns the region of interest of --roi as text, for a model's argument.

    Args:
        words: What the user wrote, or None.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it can't be read, or has no pixel.
    """
    if words is None:
        return None
    from keras_rlr.datasets.mask_files import read_mask_as_it_is
    from keras_rlr.detectors.region_of_interest import RegionOfInterest

    given: Any
    if box := _BOX.fullmatch(words):
        given, size = tuple(map(float, box.groups())), (1024, 1024)
    else:
        given = read_mask_as_it_is(words)
        size = given.shape
    region = RegionOfInterest.of(given, size)
    assert region is not None
    return region.as_text()
