"""The network itself, as far as it is looked at."""

from collections.abc import Sequence

import keras

from keras_rlr.backbones.vision_transformer.patch_tokens import PatchTokens
from keras_rlr.backbones.vision_transformer.settings import ViTSettings
from keras_rlr.backbones.vision_transformer.token_grid import TokenGrid
from keras_rlr.backbones.vision_transformer.transformer_block import TransformerBlock


def build_vision_transformer(
    settings: ViTSettings,
    *,
    levels: Sequence[int | tuple[int, ...]],
    grid: tuple[int, int],
    name: str,
) -> keras.Model:
    """Builds a vision transformer with random weights, up to the last block needed.

    Args:
        settings: its architecture.
        levels: blocks from 1 on; of a tuple of them the mean is taken.
        grid: (height, width) of the image in patches.
        name: name of the model.

    Returns:
        A model of normalised images (B, height, width, 3) that returns a list of maps
        (B, H, W, C), one a level.

    Example:

    ```python
    from keras_rlr.backbones.vision_transformer.build_vision_transformer import (
        build_vision_transformer,
    )
    from keras_rlr.backbones.vision_transformer.settings import ViTSettings

    tiny = ViTSettings(patch_size=14, depth=4, width=8, num_heads=2, mlp_dim=16)
    build_vision_transformer(tiny, levels=((1, 2), 3), grid=(4, 4), name="tiny")
    ```
    """
    height, width = (side * settings.patch_size for side in grid)
    image = keras.Input((height, width, 3), name="image")
    tokens = PatchTokens(
        settings.width,
        settings.patch_size,
        num_prefix=1 + settings.num_registers,
        name="patch_tokens",
    )(image)
    groups = [blocks_of(level) for level in levels]
    outputs = {}
    for number in range(1, max(map(max, groups)) + 1):
        tokens = TransformerBlock(
            settings.num_heads,
            settings.mlp_dim,
            activation=settings.activation,
            gated=settings.gated,
            epsilon=settings.epsilon,
            grid=grid,
            rope_theta=settings.rope_theta,
            name=f"block_{number}",
        )(tokens)
        outputs[number] = tokens
    maps = [
        TokenGrid(grid, name="level_" + "_".join(map(str, group)))(
            [outputs[number] for number in group]
        )
        for group in groups
    ]
    return keras.Model(image, maps, name=name)


def blocks_of(level: int | tuple[int, ...]) -> tuple[int, ...]:
    """Returns the blocks of a level: one, or those of a group."""
    return level if isinstance(level, tuple) else (level,)
