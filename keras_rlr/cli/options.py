"""Kinds of values that several commands take."""

import csv
import errno
import json
import math
import os
from typing import Any

import click

from keras_rlr.image_size import image_size_from_words
from keras_rlr.tiling import tiles_from_words

# What file systems take.
_LONGEST_NAME, _LONGEST_PATH = 255, 4095
_TOO_LARGE = 2**31
# No transformer has so many blocks.
_MOST_BLOCKS = 1000


class ListOf(click.ParamType):
    """Values separated by commas; one that holds a comma stands in double quotes.

    Args:
        convert: Makes a value of a word; raises ValueError if it can't.
        name: What help calls the list.
        once: Whether a value may be named only once.
    """

    def __init__(self, convert: Any, name: str, once: bool = False) -> None:
        self._convert = convert
        self._once = once
        self.name = name

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Any:
        """Returns a tuple of values."""
        if isinstance(value, tuple):
            return value
        try:
            fields = next(csv.reader([value], skipinitialspace=True, strict=True))
            words = [word.strip() for word in fields]
            if "" in words or not words:
                raise ValueError
            values = tuple(self._convert(word) for word in words)
        except (ValueError, csv.Error):
            self.fail(
                f"{value!r} is no list of {self.name} separated by commas.", param, ctx
            )
        again = sorted({str(each) for each in values if values.count(each) > 1})
        if self._once and again:
            self.fail(f"{', '.join(again)} is named more than once.", param, ctx)
        return values


class Number(click.FloatRange):
    """A number of a range; NaN, which lies in every one, and infinity are none."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Any:
        """Returns a finite float."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is no finite number.", param, ctx)
        return number


class WholeNumber(click.IntRange):
    """A whole number from a least one on that 31 bits hold."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Any:
        """Returns an int; larger ones would overflow, and not in a sentence."""
        number = super().convert(value, param, ctx)
        if number >= _TOO_LARGE:
            self.fail(f"{str(value)[:40]} is not below 2^31.", param, ctx)
        return number


class Place(click.ParamType):
    """A path, or where a command takes one an address such as `s3://bucket/folder`.

    Whether something is there is told by what reads it.
    """

    name = "path"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Any:
        """Returns the path as it was given."""
        text = str(value)
        if not text.strip():
            self.fail("The path is empty.", param, ctx)
        if "\0" in text:
            self.fail(f"{text!r} is no path: it has a zero byte.", param, ctx)
        try:
            os.stat(text)
        except OSError as error:
            if error.errno == errno.ELOOP:
                self.fail(f"The links of '{text}' lead in a circle.", param, ctx)
        longest = max(len(part.encode("utf-8", "replace")) for part in text.split("/"))
        if "://" not in text and (longest > _LONGEST_NAME or len(text) > _LONGEST_PATH):
            self.fail(
                f"The path of {len(text)} characters, '{text[:40]}…', is too long.",
                param,
                ctx,
            )
        return value


class _Words(click.ParamType):
    """What a function makes of words; its ValueError is said."""

    def __init__(self, convert, name):
        self._convert = convert
        self.name = name

    def convert(self, value, param, ctx):
        if not isinstance(value, str):
            return value
        try:
            return self._convert(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def _level(word):
    """A level of a word: 3, or of a transformer's blocks 3-6 or 5+7+9."""
    if "-" in word:
        first, last = map(int, word.split("-"))
        if last - first > _MOST_BLOCKS:
            raise ValueError
        blocks = tuple(range(first, last + 1))
    else:
        blocks = tuple(int(block) for block in word.split("+"))
    if not blocks:
        raise ValueError
    return blocks if len(blocks) > 1 else blocks[0]


NAMES = ListOf(str, "names")
NAMES_ONCE = ListOf(str, "names", once=True)
WHOLE_NUMBERS = ListOf(int, "whole numbers")
LEVELS = ListOf(_level, "levels such as 2,3 or groups of blocks such as 3-6,7-10")
IMAGE_SIZE = _Words(image_size_from_words, "size")
TILES = _Words(tiles_from_words, "rows x columns")
AT_LEAST_ONE = WholeNumber(min=1)
SEED = WholeNumber(min=0)
PLACE = Place()


def data_options(command: Any) -> Any:
    """Adds --data, --dataset and --data-dir; `data_location` makes sense of them."""
    for option in (
        click.option(
            "--data-dir",
            type=PLACE,
            help="Where the data set of --dataset is extracted [default: where "
            "`keras-rlr datasets prepare` puts it].",
        ),
        click.option(
            "--dataset", help="Published data set; `keras-rlr datasets list` has them."
        ),
        click.option(
            "--data",
            type=PLACE,
            help="Folder of a data set: in MVTec AD's layout (CATEGORY/train/good/, "
            "CATEGORY/test/DEFECT/, CATEGORY/ground_truth/DEFECT/*_mask.png), in "
            "VisA's or KolektorSDD's, or plain folders (normal/, anomalous/, masks/).",
        ),
    ):
        command = option(command)
    return command


categories_option = click.option(
    "--categories",
    type=NAMES_ONCE,
    help="Use these categories alone: bottle,cable. A name that holds a comma "
    "stands in double quotes.",
)
method_option = click.option(
    "--method",
    help="rlr, patchcore, padim, … [default: the preset's, or rlr]; `keras-rlr info` "
    "lists them.",
)


# Names that are no arguments of the class for a user to give, and what to do instead.
_NOT_SET = {
    "bank_size": "choose how much is kept by coreset_ratio and max_patches",
    "callbacks": "they are objects of Python, for training.train(callbacks=…)",
    "data": "there is --data",
    "fitted": "training sets it",
    "output": "there is --output",
    "resume": "there is --resume",
}


def _argument(ctx, param, values):
    """Click callback: NAME=VALUE, several of them, to a dict."""
    arguments = {}
    for text in values:
        name, separator, value = text.partition("=")
        name = name.strip().replace("-", "_")
        if not separator or not name.isidentifier():
            raise click.BadParameter(f"{text!r} is not NAME=VALUE.", ctx, param)
        if name in _NOT_SET:
            raise click.BadParameter(
                f"{name!r} is not set by it: {_NOT_SET[name]}.", ctx, param
            )
        try:
            arguments[name] = json.loads(value)
        except ValueError:
            arguments[name] = value.strip()  # A word need not be quoted.
        except RecursionError:
            raise click.BadParameter(
                f"The value of {name!r} is nested too deeply.", ctx, param
            ) from None
    return arguments


arguments_option = click.option(
    "--set",
    "arguments",
    multiple=True,
    metavar="NAME=VALUE",
    callback=_argument,
    help="An argument of the method's class by its name, for those without an option: "
    "--set coreset_ratio=0.01 --set 'augmentation=[\"flip\"]'. May be repeated.",
)
model_option = click.option(
    "--model", required=True, type=PLACE, help="Folder of a run, or .keras file."
)
batch_size_option = click.option(
    "--batch-size",
    type=AT_LEAST_ONE,
    default=16,
    show_default=True,
    help="Images at a time.",
)
json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON, nothing else."
)


bit_depth_option = click.option(
    "--bit-depth",
    type=click.IntRange(9, 16),
    help="Bits that a value of 16-bit images has, where a camera gives 10 or 12 "
    "[default: the model's, or 16].",
)


def _allow_large_images(ctx, param, allowed):
    if allowed:
        from PIL import Image

        Image.MAX_IMAGE_PIXELS = None


large_images_option = click.option(
    "--allow-large-images",
    is_flag=True,
    expose_value=False,
    callback=_allow_large_images,
    help="Read images of more than 89 million pixels too, which are else refused: "
    "files can be made to fill the memory.",
)


feature_cache_option = click.option(
    "--feature-cache",
    type=PLACE,
    help="Folder that keeps the features of the images for other runs [default: in "
    "memory, and above 2 GiB in a folder that is removed when it is done].",
)


def optional_weights(
    ctx: click.Context, param: click.Parameter | None, value: Any
) -> str | None:
    """Click callback: the word "none" asks for random weights."""
    return "none" if value and value.lower() == "none" else value
