"""The options that say where on images to look."""

import functools
import os
from pathlib import Path
from typing import Any

import click
import numpy as np

from keras_rlr.category_names import known_name
from keras_rlr.cli.options import PLACE
from keras_rlr.cli.printing import say

_BOX = (
    "LEFT,TOP,WIDTH,HEIGHT in shares of the image's sides, four numbers from 0 to 1 "
    "such as 0.1,0,0.8,1"
)
# Boxes are drawn so large where no model says how large maps are.
_BOX_SIZE = (1024, 1024)
_ROI, _IGNORE = "--roi", "--ignore"


def region_options(command: Any) -> Any:
    """Adds --roi and --ignore."""
    for option in (
        click.option(
            "--ignore",
            type=PLACE,
            metavar="MASK|BOX|FOLDER",
            help="Where not to look: as --roi, but above 0 where nothing is anomalous. "
            "Both hold, and without --roi the model's own region does.",
        ),
        click.option(
            "--roi",
            type=PLACE,
            metavar="MASK|BOX|FOLDER",
            help="Region of interest: an image that is above 0 where to look; "
            "LEFT,TOP,WIDTH,HEIGHT in shares of the image's sides, 0.1,0,0.8,1; or a "
            "folder with one mask a category, pill.png, or (not of train) one an "
            "image, that lie as the images do. Elsewhere nothing is anomalous.",
        ),
    ):
        command = option(command)
    return command


def read_region(roi: str | None, ignore: str | None) -> str | None:
    """Returns the region of interest of the options as text, for a model's argument.

    Args:
        roi: What the user wrote for --roi, or None.
        ignore: What the user wrote for --ignore, or None.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it can't be read, leaves nothing to look at, or is by image.
    """
    given = _read(roi, ignore)
    for option, one in given.items():
        if _is_folder(one):
            if not one.is_flat:
                raise ValueError(
                    f"'{one.path}' has masks in folders, so they are by image, and a "
                    "model keeps masks by category. Name a folder with one mask a "
                    f"category in it, or give {option} to predict and evaluate."
                )
            say(_by_category(option, one), err=True)
    masks = {option: _masks(one) for option, one in given.items()}
    region = _joined(masks, _largest(masks.values()))
    return None if region is None else region.as_text()


def chosen_region(model: Any, roi: str | None, ignore: str | None) -> tuple[Any, Any]:
    """Returns where the options say that a model is to look.

    --roi takes the place of the model's own region; --ignore is taken out of either.

    Args:
        model: The detector.
        roi: What the user wrote for --roi, or None.
        ignore: What the user wrote for --ignore, or None.

    Returns:
        The `RegionOfInterest` of all images or by category, None for everywhere; and
        `RegionsByImage`, or None if no masks are by image.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it can't be read, or leaves nothing to look at.
    """
    from keras_rlr.detectors.region_of_interest import RegionOfInterest
    from keras_rlr.evaluation.regions_by_image import RegionsByImage

    size, categories = model.map_size, model.known_categories
    categories = categories or model.trained_categories
    masks, by_image = {}, []
    for option, one in _read(roi, ignore).items():
        if not _is_folder(one):
            masks[option] = one
        elif one.is_by_category(categories):
            masks[option] = _masks(one)
            say(_by_category(option, one, categories), err=True)
        else:
            by_image.append((one, option == _IGNORE))
    own = None
    if roi is None:
        own = RegionOfInterest.of(model.region_of_interest, size)
    region = _joined(masks, size, own)
    if not by_image:
        return region, None

    tell = functools.partial(say, err=True)
    return region, RegionsByImage(by_image, size, region, tell, categories)


def look_for_once(model: Any, roi: str | None, ignore: str | None) -> Any:
    """Has a model look where the options say; it is not saved.

    Args:
        model: The detector.
        roi: What the user wrote for --roi, or None.
        ignore: What the user wrote for --ignore, or None.

    Returns:
        `RegionsByImage`, or None if no masks are by image.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: As of `chosen_region`, or if masks are by category, and the model
            does not recognise these.
    """
    if roi is None and ignore is None:
        return None
    region, by_image = chosen_region(model, roi, ignore)
    model.look_within(region)
    if region is not None and region.names and not model.known_categories:
        raise ValueError(
            "Masks by category need a model that recognises products by their images, "
            "which it learns when it is calibrated. Call `keras-rlr calibrate` with "
            "normal images of its categories first, or give one mask for all images."
        )
    return by_image


def _read(roi, ignore):
    """Dict by option of what is given: a box, a mask's array or a `MaskFolder`."""
    from keras_rlr.datasets.mask_files import read_mask_as_it_is
    from keras_rlr.datasets.mask_folder import MaskFolder

    given: dict[str, Any] = {}
    for option, words in ((_ROI, roi), (_IGNORE, ignore)):
        if words is None:
            continue
        if (box := _box(option, words)) is not None:
            given[option] = box
        elif Path(words).is_dir():
            given[option] = MaskFolder(words)
        elif not os.path.exists(words):
            raise FileNotFoundError(
                f"{option}: there is no file or folder '{words}', and it is no box. "
                f"Give the path of a mask or of a folder of masks, or {_BOX}."
            )
        else:
            given[option] = read_mask_as_it_is(words)
    return given


def _box(option, words):
    """The box that a user wrote, or None if it is none."""
    from keras_rlr.detectors.region_of_interest import is_box

    try:
        box = tuple(map(float, words.split(",")))
    except ValueError:
        return None
    if len(box) != 4:
        return None
    if not is_box(box):
        raise ValueError(
            f"{option}: the box '{words}' does not lie within the image, or is empty. "
            f"Give {_BOX}: LEFT + WIDTH and TOP + HEIGHT are at most 1."
        )
    return box


def _is_folder(given):
    return not isinstance(given, tuple | np.ndarray)


def _masks(given):
    """The masks of a folder by category; what is no folder as it is."""
    from keras_rlr.datasets.mask_files import read_mask_as_it_is

    if not _is_folder(given):
        return given
    return {name: read_mask_as_it_is(given.file(name)) for name in given.names}


def _joined(masks, size, own=None):
    """The `RegionOfInterest` of options, in which all of them hold, or None."""
    from keras_rlr.detectors.region_of_interest import RegionOfInterest

    region = own
    for option, given in masks.items():
        ignores = option == _IGNORE
        of = RegionOfInterest.ignoring if ignores else RegionOfInterest.of
        try:
            one = of(given, size)
            region = one if region is None else region.within_too(one)
        except ValueError as error:
            raise ValueError(f"{option}: {error}") from error
    return region


def _largest(given):
    """(height, width) in which nothing of some masks is lost."""
    arrays: list[Any] = []
    for one in given:
        arrays += one.values() if isinstance(one, dict) else [one]
    shapes = [each.shape for each in arrays if isinstance(each, np.ndarray)]
    height, width = np.max(shapes or [_BOX_SIZE], axis=0)
    return int(height), int(width)


def _by_category(option, folder, categories=()):
    names = folder.names
    others = ", ".join(name for name in categories if not known_name(name, names))
    if not categories:
        others = "other categories"
    whole = "nothing is ignored" if option == _IGNORE else "all is looked at"
    of = f"of {others}, and " if others else ""
    return (
        f"{option}: '{folder.path}' has masks by category, of {', '.join(names)}. In "
        f"images {of}of no category that the model knows, {whole}."
    )
