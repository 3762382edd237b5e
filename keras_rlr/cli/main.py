import importlib
from typing import Any

import click

from keras_rlr import __version__
from keras_rlr.cli.failures import reporting_failures

_COMMANDS = {
    "app": "Try a model in the browser.",
    "benchmark": "Train what a table of the paper compares, and print both.",
    "calibrate": "Set the thresholds of a model from normal images.",
    "datasets": "List, download and check published data sets.",
    "decoder": "Show what a model reconstructs, by a decoder of its features.",
    "demo": "Train and evaluate offline on painted products, in minutes.",
    "evaluate": "Measure a model on a data set's test images.",
    "export": "Write a model for serving, phones and other runtimes.",
    "import-checkpoint": "Convert a checkpoint of the paper's authors.",
    "info": "Show versions, backends and presets, or a model.",
    "monitor": "Say whether scores, light or focus have drifted.",
    "predict": "Score images and draw where they are anomalous.",
    "train": "Train one model on all categories of a data set.",
}


class _Commands(click.Group):
    """Imports a command's file when it is asked for, so that help is quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return None
        module = importlib.import_module(f"keras_rlr.cli.{name.replace('-', '_')}")
        return module.command

    def format_commands(self, ctx: click.Context, formatter: Any) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        with reporting_failures(ctx, debug=ctx.params["debug"]):
            return super().invoke(ctx)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="keras-rlr")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def cli(debug: bool) -> None:
    """Find and localise defects in images of many products with one model."""
