from pathlib import Path

import click

from keras_rlr.cli.backend import start_backend
from keras_rlr.cli.options import PLACE, optional_weights
from keras_rlr.cli.printing import say


@click.command()
@click.argument("checkpoint", metavar="FILE", type=PLACE)
@click.option("--output", required=True, type=PLACE, help="The .keras file to write.")
@click.option(
    "--backbone",
    default="efficientnet_b6",
    show_default=True,
    help="The backbone it was trained on.",
)
@click.option(
    "--backbone-weights",
    default="imagenet",
    show_default=True,
    callback=optional_weights,
    help="imagenet, the path of a weights file, or none for random ones.",
)
def command(checkpoint: str, output: str, backbone: str, backbone_weights: str) -> None:
    """Convert a checkpoint of the paper's authors (FILE, a .pth) to a .keras file.

    PyTorch must be installed, on whatever backend Keras is.
    """
    place = Path(output)
    if place.suffix != ".keras":
        raise ValueError(f"--output must end in .keras. Received: '{place}'.")
    if place.exists():
        raise FileExistsError(f"'{place}' exists. Choose another --output.")
    start_backend()
    import keras_rlr
    from keras_rlr.detectors.save_model import save_without_optimizer

    weights = None if backbone_weights == "none" else backbone_weights
    model = keras_rlr.import_torch_checkpoint(checkpoint, backbone, weights)
    save_without_optimizer(model, place)
    levels = ", ".join(map(str, model.levels))
    say(f"The model, of levels {levels}, is in {place}.")
