import threading

import click

from keras_rlr.cli.backend import start_backend
from keras_rlr.cli.model_location import load_run
from keras_rlr.cli.options import large_images_option, model_option
from keras_rlr.cli.printing import say


@click.command()
@model_option
@large_images_option
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen on; 0.0.0.0 lets other machines in.",
)
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    help="Port [default: the first that is free from 7860 on].",
)
def command(model, host, port):
    """Try a model in the browser: drop images, see what it says.

    The page shows each image with its anomaly map, regions, score and decision, and a
    slider for the threshold. It needs `pip install "keras-rlr[app]"`. Ctrl+C ends it.
    """
    start_backend()
    from keras_rlr.app import build_page, serve_page

    page = build_page(load_run(model))
    say(f"The page is at {serve_page(page, host, port)} (Ctrl+C ends it).")
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        # Nothing was under way that this would have stopped.
        page.close(verbose=False)
