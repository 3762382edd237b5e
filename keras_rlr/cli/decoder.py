import json
from pathlib import Path
from typing import Any

import click

from keras_rlr.cli.backend import start_backend
from keras_rlr.cli.data_location import data_location
from keras_rlr.cli.model_location import load_run, run_config
from keras_rlr.cli.options import (
    AT_LEAST_ONE,
    PLACE,
    SEED,
    bit_depth_option,
    data_options,
    feature_cache_option,
    json_option,
    large_images_option,
)
from keras_rlr.cli.printing import say

_FRACTION = 0.1


@click.group()
def command() -> None:
    """Show what a model reconstructs, by a decoder of its features."""


@command.command()
@data_options
@click.option(
    "--model",
    type=PLACE,
    help="Folder of a run, or .keras file [default: runs/NAME, as of `train`].",
)
@click.option(
    "--output", type=PLACE, help="File [default: decoder.keras by the model]."
)
@click.option(
    "--epochs",
    type=AT_LEAST_ONE,
    default=45,
    show_default=True,
    help="Passes over the images.",
)
@click.option(
    "--width",
    type=AT_LEAST_ONE,
    default=64,
    show_default=True,
    help="Channels of its convolutions.",
)
@bit_depth_option
@large_images_option
@feature_cache_option
@click.option(
    "--seed",
    type=SEED,
    default=0,
    show_default=True,
    help="Of everything random; which images are held out is the run's choice.",
)
@json_option
def train(
    data: str | None,
    dataset: str | None,
    data_dir: str | None,
    model: str | None,
    output: str | None,
    epochs: int,
    width: int,
    bit_depth: int | None,
    feature_cache: str | None,
    seed: int,
    as_json: bool,
) -> None:
    """Train a decoder on the normal images of a data set.

    Images that the run held out for its threshold, or else a tenth, are not trained
    on; the decoder is measured on them, against the mean image of each category.
    """
    location = data_location(data, dataset, data_dir)
    place = Path(model) if model else location.run
    file = Path(output or decoder_path(place))
    if file.suffix != ".keras" or file.is_dir():
        raise click.UsageError(
            f"--output must be the name of a file ending in .keras. Received: {file}"
        )
    start_backend()
    from keras_rlr.atomic_file import atomic_path, check_writable, write_text
    from keras_rlr.cli.progress import training_progress
    from keras_rlr.datasets import FolderDataset
    from keras_rlr.training.hold_out import hold_out
    from keras_rlr.training.train_decoder import measure_decoder, train_decoder

    check_writable(file.parent)
    settings = (run_config(place) or {}).get("settings", {})
    images = FolderDataset(location.folder, "train", settings.get("categories"))
    fraction = settings.get("calibration_fraction") or _FRACTION
    fitted, held = hold_out(images, fraction, settings.get("seed", seed))
    detector = load_run(place, bit_depth)
    if not hasattr(detector, "reconstruct"):
        raise refused_method(detector)
    with training_progress() as progress:
        decoder = train_decoder(
            detector, fitted, epochs, width, seed, [progress], feature_cache
        )
    results = measure_decoder(detector, decoder, fitted, held)
    # Figures of another decoder must not lie beside this one.
    file.with_suffix(".json").unlink(missing_ok=True)
    with atomic_path(file) as temporary:
        decoder.save(temporary)
    text = json.dumps({"epochs": epochs, "seed": seed, "psnr": results}, indent=2)
    if as_json:
        say(text)
    else:
        for name, figures in results.items():
            say(
                f"{name}: {figures['psnr']:.1f} dB on {figures['images']} images held "
                f"out, {figures['gain']:.1f} dB above the mean image"
            )
        say(f"The decoder is {file}.")
    write_text(file.with_suffix(".json"), text + "\n")


def decoder_path(place: str | Path) -> Path:
    """Where the decoder of a model lies unless the user names another place."""
    place = Path(place)
    if place.suffix != ".keras":
        return place / "decoder.keras"
    if place.name == "model.keras":
        return place.with_name("decoder.keras")
    return place.with_suffix(".decoder.keras")


def refused_method(model: Any) -> ValueError:
    """The error for a model whose method reconstructs no features.

    Args:
        model: The detector.
    """
    return ValueError(
        f"{type(model).__name__} reconstructs no features, so there is nothing that a "
        "decoder could show. Leave the decoder out; RLR is a method with one."
    )


def load_decoder(
    path: str | Path | None, place: str | Path, model: Any, required: bool = False
) -> Any:
    """The decoder of a model, or None if it has none.

    Args:
        path: Where it is, or None for its usual place.
        place: Where the model is.
        model: The `RLR` model.
        required: Whether there must be one.

    Raises:
        FileNotFoundError: If it is required, or named, and not there.
        ValueError: If the file is no decoder, or one of other features, or the model
            reconstructs no features.
    """
    from keras_rlr.detectors.feature_decoder import FeatureDecoder
    from keras_rlr.detectors.features_fingerprint import features_fingerprint
    from keras_rlr.detectors.loading import load_file

    if not hasattr(model, "reconstruct"):
        if required or path:
            raise refused_method(model)
        return None
    file = Path(path) if path else decoder_path(place)
    if not file.is_file():
        if not (required or path):
            return None
        raise FileNotFoundError(
            f"There is no decoder '{file}'. Train one with `keras-rlr decoder train "
            f"--model {place} --data DIR`."
        )
    decoder = load_file(
        file,
        "a decoder",
        f"one that `keras-rlr decoder train --model {place} --data DIR` wrote",
        lambda loaded: isinstance(loaded, FeatureDecoder),
    )
    if decoder.model != features_fingerprint(model):
        raise ValueError(
            f"The decoder '{file}' was trained on the features of another model than "
            f"that in '{place}'. Train one of its own with `keras-rlr decoder train`."
        )
    return decoder
