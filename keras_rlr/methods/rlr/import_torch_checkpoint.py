"""Reading the checkpoints of the paper's authors."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_rlr.backbones.catalogue import CHANNELS, STRIDES
from keras_rlr.methods.rlr.authors_checkpoint import (
    REFERENCE,
    convert_state,
    read_states,
)

if TYPE_CHECKING:
    from keras_rlr.methods.rlr.rlr import RLR

_NUM_HEADS = 8
_NOISE_SCALE = 4.0


def import_torch_checkpoint(
    path: str | Path,
    backbone: str = "efficientnet_b6",
    backbone_weights: str | Path | None = "imagenet",
) -> "RLR":
    """Builds an RLR model from a checkpoint of the authors' PyTorch program.

    A level is known by its channel count in the named backbone, and the image
    size by the number of reference tokens, so any subset of the levels in any
    order will do. Such a file holds neither the number of heads nor the windows:
    8 heads and windows of 11, 7 and 5 tokens for levels 1, 2 and 3 are taken, as
    the authors' program has them. The file is read without executing anything
    in it.

    Args:
        path: the `.pth` file, a dict with a list of state dicts (one a level)
            under `"state_dict"`.
        backbone: the backbone the checkpoint was trained on:
            `"efficientnet_b0"` to `"efficientnet_b7"` or
            `"efficientnet_lite2"`.
        backbone_weights: as for `RLR`; the checkpoint doesn't hold them.

    Returns:
        The model, with noise scale 4 and without standardised features.

    Raises:
        FileNotFoundError: if there is no file.
        ImportError: if PyTorch isn't installed.
        ValueError: if the file isn't such a checkpoint, or if its channels
            aren't the backbone's.

    Example:

    ```python
    import keras_rlr

    model = keras_rlr.import_torch_checkpoint("checkpoint.pth")
    model.predict(images)["anomaly_score"]
    ```
    """
    from keras_rlr.methods.rlr.rlr import RLR

    if backbone not in CHANNELS:
        raise ValueError(
            f"A checkpoint can't be imported for the backbone '{backbone}', whose "
            f"channels are unknown here. Expected one of {', '.join(CHANNELS)}."
        )
    states = read_states(Path(path))
    weights = {}
    sizes = {}
    for position, state in enumerate(states):
        where = f"'{path}', level at position {position}"
        tokens, channels = _reference_shape(state, where)
        level = _find_level(channels, states, backbone, path)
        if level in weights:
            raise ValueError(
                f"{where}: a second level with {channels} channels. Expected each "
                "level once; check that the file is one model's checkpoint."
            )
        weights[level] = convert_state(state, where)
        sizes[level] = math.isqrt(tokens) * STRIDES[level - 1]
    if len(set(sizes.values())) > 1:
        raise ValueError(
            f"The levels of '{path}' belong to different image sizes ({sizes}, by "
            f"their reference tokens on '{backbone}'). Expected one size; check "
            "that `backbone` is the one the checkpoint was trained on."
        )
    levels = tuple(sorted(weights))
    blocks = {level: _count_blocks(weights[level]) for level in levels}
    if len(set(blocks.values())) > 1:
        raise ValueError(
            f"The levels of '{path}' have different numbers of blocks ({blocks}). "
            "Expected the same number in each; the file may be damaged."
        )
    model = RLR(
        backbone=backbone,
        backbone_weights=backbone_weights,
        levels=levels,
        image_size=sizes[levels[0]],
        hidden_dims=tuple(
            weights[level]["input_projection/bias"].size for level in levels
        ),
        num_heads=_NUM_HEADS,
        num_blocks=blocks[levels[0]],
        noise_scale=_NOISE_SCALE,
        standardize_features=False,
    )
    for level, reconstructor in zip(levels, model.reconstructors, strict=True):
        assign_weights(reconstructor, weights[level], f"'{path}', level {level}")
    return model


def assign_weights(
    reconstructor: Any, arrays: dict[str, np.ndarray], where: str
) -> None:
    """Sets every weight of a built reconstructor from arrays by path.

    Args:
        reconstructor: a built `FeatureReconstructor`.
        arrays: arrays by the ends of the variables' paths.
        where: the file and level, for the messages.

    Raises:
        ValueError: if a variable finds no array or one of another shape.
    """
    chosen = []
    for variable in reconstructor.weights:
        ends = [n for n in arrays if f"/{variable.path}".endswith(f"/{n}")]
        array = arrays[ends[0]] if ends else None
        if array is None or array.shape != tuple(variable.shape):
            found = "none" if array is None else str(array.shape)
            raise ValueError(
                f"{where}: no array fits the weight '{variable.path}'. Expected the "
                f"shape {tuple(variable.shape)}, found {found}."
            )
        chosen.append(array)
    for variable, array in zip(reconstructor.weights, chosen, strict=True):
        variable.assign(array)


def _reference_shape(state: dict[str, np.ndarray], where: str) -> tuple[int, int]:
    shape = state[REFERENCE].shape if REFERENCE in state else None
    if shape is None or len(shape) != 3 or math.isqrt(shape[1]) ** 2 != shape[1]:
        found = "none" if shape is None else f"one of shape {shape}"
        raise ValueError(
            f"{where}: expected a reference '{REFERENCE}' of shape (1, tokens, "
            f"channels), tokens being a square number, but found {found}. Only "
            "square images are supported, by one reference a level."
        )
    return shape[1], shape[2]


def _find_level(
    channels: int, states: list[dict[str, np.ndarray]], backbone: str, path: Any
) -> int:
    expected = CHANNELS[backbone]
    if channels in expected:
        return expected.index(channels) + 1
    found = [s[REFERENCE].shape[-1] for s in states if REFERENCE in s]
    fitting = [name for name, known in CHANNELS.items() if set(found) <= set(known)]
    advice = (
        f"Backbones that fit: {', '.join(fitting)}; name one of them as `backbone`."
        if fitting
        else "No backbone this package can import for has these channels."
    )
    raise ValueError(
        f"The levels of '{path}' have {found} channels, but '{backbone}' has "
        f"{list(expected)} at levels 1, 2 and 3. {advice}"
    )


def _count_blocks(arrays: dict[str, np.ndarray]) -> int:
    return len({name.split("/")[0] for name in arrays if name.startswith("block_")})
