"""What commands print, with nothing in it that a terminal would obey."""

from typing import Any

import click

from keras_rlr.printable import printable


def say(message: Any = "", err: bool = False) -> None:
    """Prints a line, or several; names of files can't clear the screen by it.

    Args:
        message: What is printed, with `str`.
        err: Whether on standard error.
    """
    click.echo(printable(str(message), kept="\n\t"), err=err)
