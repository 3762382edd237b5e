"""What a vision transformer is made of, and those that are known by name."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class ViTSettings:
    """The architecture of a vision transformer; with its weights it is complete.

    Args:
        patch_size: side of a patch in pixels.
        depth: number of blocks of the complete network.
        width: channels of a token.
        num_heads: attention heads.
        mlp_dim: width of the hidden layer of each block.
        num_registers: register tokens, which belong to no patch.
        activation: of the hidden layer.
        gated: whether the hidden layer is multiplied by a gate.
        epsilon: of the normalisations.
        rope_theta: base period of rotary positions (DINOv3), or None for learned
            positions that are added (DINOv2).
        position_grid: side of the grid that learned positions were trained for.
        antialias: whether learned positions are averaged where the grid is smaller.

    Example:

    ```python
    from keras_rlr.backbones.vision_transformer.settings import CATALOGUE

    CATALOGUE["dinov2_small"].width  # 384
    ```
    """

    patch_size: int
    depth: int
    width: int
    num_heads: int
    mlp_dim: int
    num_registers: int = 0
    activation: Literal["gelu", "silu"] = "gelu"
    gated: bool = False
    epsilon: float = 1e-6
    rope_theta: float | None = None
    position_grid: int = 37
    antialias: bool = False


def _dinov2(depth: int, width: int, num_heads: int, registers: bool) -> ViTSettings:
    return ViTSettings(
        patch_size=14,
        depth=depth,
        width=width,
        num_heads=num_heads,
        mlp_dim=4 * width,
        num_registers=4 if registers else 0,
        antialias=registers,
    )


def _dinov3(depth: int, width: int, num_heads: int, gated: bool = False) -> ViTSettings:
    return ViTSettings(
        patch_size=16,
        depth=depth,
        width=width,
        num_heads=num_heads,
        mlp_dim=4 * width,
        num_registers=4,
        activation="silu" if gated else "gelu",
        gated=gated,
        epsilon=1e-5,
        rope_theta=100.0,
    )


# By keras-hub's names, whose presets have the weights.
CATALOGUE: dict[str, ViTSettings] = {
    "dinov2_small": _dinov2(12, 384, 6, registers=False),
    "dinov2_base": _dinov2(12, 768, 12, registers=False),
    "dinov2_large": _dinov2(24, 1024, 16, registers=False),
    "dinov2_with_registers_small": _dinov2(12, 384, 6, registers=True),
    "dinov2_with_registers_base": _dinov2(12, 768, 12, registers=True),
    "dinov2_with_registers_large": _dinov2(24, 1024, 16, registers=True),
    "dinov3_vit_small_lvd1689m": _dinov3(12, 384, 6),
    "dinov3_vit_small_plus_lvd1689m": _dinov3(12, 384, 6, gated=True),
    "dinov3_vit_base_lvd1689m": _dinov3(12, 768, 12),
    "dinov3_vit_large_lvd1689m": _dinov3(24, 1024, 16),
}


def default_taps(depth: int) -> tuple[int | tuple[int, ...], ...]:
    """Returns the blocks that are looked at where the user names none.

    Eight blocks of the middle in two groups, as Dinomaly (Guo et al., CVPR 2025) has
    them: blocks 3 to 10 of 12, and 5, 7, …, 19 of 24.

    Args:
        depth: number of blocks of the network.
    """
    step = max(1, depth // 12)
    first = depth // 6 + 1
    taps = tuple(range(first, depth + 1, step))[:8]
    halves = taps[: (len(taps) + 1) // 2], taps[(len(taps) + 1) // 2 :]
    return tuple(half if len(half) > 1 else half[0] for half in halves if half)
