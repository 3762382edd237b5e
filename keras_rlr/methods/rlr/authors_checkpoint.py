"""The file format of the paper's authors' PyTorch program."""

import re
from pathlib import Path
from typing import Any

import numpy as np

REFERENCE = "ref_mca"
_BLOCK = "encoder.encode_layers"
_LINEAR_LAYERS = {
    "embedding.project_embedding.project": "input_projection",
    "ref_mca_embedding.project_embedding.project": "reference_projection",
    "projection": "output_projection",
}
_ATTENTIONS = {"mca": "lca", "nsa": "mlka"}
_BLOCK_LINEAR_LAYERS = {"ffn.fc1": "ffn/dense_1", "ffn.fc2": "ffn/dense_2"}
_BLOCK_NORMS = {"norm1": "attention_norm", "norm2": "ffn_norm"}


def read_states(path: Path) -> list[dict[str, np.ndarray]]:
    """Reads the state dicts, one a level, without executing anything.

    Args:
        path: the `.pth` file.

    Returns:
        Arrays by the authors' names, one dict a level, in the file's order.

    Raises:
        FileNotFoundError: if there is no file.
        ImportError: if PyTorch isn't installed.
        ValueError: if the file isn't a checkpoint of theirs.
    """
    try:
        import torch
    except ImportError as error:
        raise ImportError(
            "Importing a PyTorch checkpoint needs PyTorch to read the file. Install "
            "it with `pip install torch`; the imported model runs on any backend."
        ) from error
    if not path.is_file():
        raise FileNotFoundError(
            f"There is no checkpoint '{path}'. Expected the path of a .pth file."
        )
    try:
        # The scores that the authors store beside the weights are NumPy scalars.
        with torch.serialization.safe_globals(_numpy_scalar_types()):
            content = torch.load(path, map_location="cpu", weights_only=True)
    # The unpickler meets damage with whatever its current instruction raises.
    except Exception as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ValueError(
            f"'{path}' can't be read as a PyTorch checkpoint: it is damaged, cut "
            "short, another kind of file, or holds objects other than weights, "
            f"which are never loaded ({reason}). Expected a file "
            "written by the authors' program; copy it again, or save only its "
            "'state_dict' list with torch.save."
        ) from error
    states = content.get("state_dict") if isinstance(content, dict) else None
    if not isinstance(states, list | tuple) or not states:
        raise ValueError(
            f"'{path}' is not a checkpoint of the authors' program. Expected a dict "
            "with a list of state dicts, one a level, under 'state_dict'."
        )
    arrays = []
    for position, state in enumerate(states):
        if not isinstance(state, dict) or not all(
            isinstance(value, torch.Tensor) for value in state.values()
        ):
            raise ValueError(
                f"'{path}', level at position {position}, is not a dict of tensors. "
                "Expected one state dict a level under 'state_dict'."
            )
        arrays.append({name: value.float().numpy() for name, value in state.items()})
    return arrays


def _numpy_scalar_types() -> list[Any]:
    reconstruct = np.float64(0).__reduce__()[0]
    return [
        (reconstruct, "numpy.core.multiarray.scalar"),
        (reconstruct, "numpy._core.multiarray.scalar"),
        np.dtype,
        type(np.dtype("float32")),
        type(np.dtype("float64")),
    ]


def convert_state(state: dict[str, Any], where: str) -> dict[str, np.ndarray]:
    """Renames and arranges one level's arrays as our variables have them.

    Args:
        state: the authors' state dict of one level, with NumPy arrays.
        where: the file and level, for the messages.

    Returns:
        Arrays by the ends of our variables' paths, such as
        `block_0/lca/query/kernel`; kernels are (inputs, outputs).

    Raises:
        ValueError: if an array is missing or there is one too many.
    """
    left = dict(state)

    def remove(name: str) -> np.ndarray:
        if name not in left:
            raise ValueError(
                f"{where} has no '{name}'. Expected the weights of one level of the "
                "authors' model with both attentions; the file may be cut short or "
                "belong to another variant."
            )
        return left.pop(name)

    arrays = {"reference": remove(REFERENCE)[0]}

    def linear(theirs: str, ours: str) -> None:
        kernel = remove(f"{theirs}.weight")
        # The embeddings are convolutions over one token: (outputs, inputs, 1).
        arrays[f"{ours}/kernel"] = kernel.reshape(kernel.shape[:2]).T
        arrays[f"{ours}/bias"] = remove(f"{theirs}.bias")

    def norm(theirs: str, ours: str) -> None:
        arrays[f"{ours}/gamma"] = remove(f"{theirs}.weight")
        arrays[f"{ours}/beta"] = remove(f"{theirs}.bias")

    def attention(theirs: str, ours: str) -> None:
        kernels = np.split(remove(f"{theirs}.in_proj_weight"), 3)
        biases = np.split(remove(f"{theirs}.in_proj_bias"), 3)
        for part, kernel, bias in zip(
            ("query", "key", "value"), kernels, biases, strict=True
        ):
            arrays[f"{ours}/{part}/kernel"] = kernel.T
            arrays[f"{ours}/{part}/bias"] = bias
        linear(f"{theirs}.out_proj", f"{ours}/output")

    try:
        for theirs, ours in _LINEAR_LAYERS.items():
            linear(theirs, ours)
        numbers = {re.match(rf"{re.escape(_BLOCK)}\.(\d+)\.", name) for name in state}
        count = len({match[1] for match in numbers if match})
        if not count:
            remove(f"{_BLOCK}.0.mca.in_proj_weight")
        for block in range(count):
            prefix = f"{_BLOCK}.{block}"
            for theirs, ours in _ATTENTIONS.items():
                attention(f"{prefix}.{theirs}", f"block_{block}/{ours}")
            for theirs, ours in _BLOCK_LINEAR_LAYERS.items():
                linear(f"{prefix}.{theirs}", f"block_{block}/{ours}")
            for theirs, ours in _BLOCK_NORMS.items():
                norm(f"{prefix}.{theirs}", f"block_{block}/{ours}")
        norm("encoder.norm", "final_norm")
    except (IndexError, TypeError) as error:
        raise ValueError(f"{where} has an array of the wrong shape: {error}") from error
    if left:
        raise ValueError(
            f"{where} holds '{next(iter(left))}', which the paper's model does not "
            "have. Expected the published variant: two attentions a block, one "
            "reference a level and no gates."
        )
    return arrays
