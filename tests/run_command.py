"""The command line, in this process."""

from click.testing import CliRunner

from keras_rlr.cli.main import cli


def run(*arguments):
    """The result of `keras-rlr` with these arguments."""
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])
