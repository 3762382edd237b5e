"""Models by name: what `RLR.from_preset` and the command line offer."""

from typing import Any

import numpy as np

from keras_rlr.backbones import resolve_levels
from keras_rlr.detectors.loading import preset_settings

_STANDARDIZED = {"standardize_features": True, "cosine_damping": 0.3}
_FUSED = {"fuse_levels": True, **_STANDARDIZED}
# What normal images show, beside what the reconstructor makes of them. The score is in
# units of the whole of what is usual; in a map of that, edges of aligned parts, which
# are never quite predicted, would hide more than they should.
_COMPARED = {"coreset_ratio": 0.01, "similar_images": 20, "similar_share": (0.5, 1.0)}
# Tokens of a vision transformer are compared by their angles, by the bank too. They
# stay as they are: on pills, angles of standardised ones found far fewer defects. Their
# bank ranks images well with no training at all, so less of the map is the error's. The
# score is the mean of the map's largest hundredth, as is published on these features:
# its largest value ranked images worse in all models that were measured.
_OF_BLOCKS = {
    "levels": ((3, 4, 5, 6), (7, 8, 9, 10)),
    "image_size": 392,
    "fuse_levels": True,
    "loss_of_squares": False,
    "distance": "cosine",
    "error_share": 0.1,
    "score_share": 0.01,
    **_COMPARED,
}
PRESETS: dict[str, dict[str, Any]] = {
    "rlr_efficientnet_b6": {
        "backbone": "efficientnet_b6",
        "levels": (1, 2, 3),
    },
    "rlr_efficientnet_b6_two_level": {
        "backbone": "efficientnet_b6",
        "levels": (2, 3),
    },
    "rlr_efficientnet_b6_fused": {
        "backbone": "efficientnet_b6",
        "levels": (1, 2, 3),
        "hidden_dims": (512,),
        **_FUSED,
        **_COMPARED,
    },
    "rlr_efficientnet_lite2": {
        "backbone": "efficientnet_lite2",
        "levels": (1, 2, 3),
        "hidden_dims": (256,),
        **_FUSED,
        **_COMPARED,
    },
    "rlr_efficientnet_lite2_fused": {
        "backbone": "efficientnet_lite2",
        "levels": (1, 2, 3),
        "hidden_dims": (256,),
        **_FUSED,
    },
    "rlr_efficientnet_lite2_one_level": {
        "backbone": "efficientnet_lite2",
        "levels": (3,),
        "hidden_dims": (256,),
        **_STANDARDIZED,
    },
    # Blocks 3 to 10 of 12 in two groups, which are two targets of one reconstructor.
    "rlr_dinov2_small": {
        "backbone": "dinov2_small",
        "hidden_dims": (256,),
        **_OF_BLOCKS,
    },
    "rlr_dinov2_base": {
        "backbone": "dinov2_base",
        "hidden_dims": (384,),
        **_OF_BLOCKS,
    },
}


def preset_arguments(preset, **overrides):
    """Returns the arguments of `RLR` that a preset stands for.

    What suits only what it was chosen with goes with it: the widths of other levels
    than the preset's are `RLR`'s own, and raw features are scored by the paper's
    cosine, because the damping mends what standardised features do to it.

    Args:
        preset: A name in `PRESETS`.
        **overrides: Arguments that replace the preset's.

    Raises:
        ValueError: If there is no such preset; the message lists them.
    """
    arguments = preset_settings(preset, PRESETS)
    # Several widths or windows are those of levels that are not fused.
    one_each = all(
        np.size(overrides.get(name) or 1) == 1 for name in ("hidden_dims", "windows")
    )
    is_fused = arguments.get("fuse_levels") and one_each
    if "fuse_levels" in arguments:
        arguments["fuse_levels"] = bool(is_fused)
    if not overrides.get("fuse_levels", is_fused) and "hidden_dims" in arguments:
        width = dict(zip(arguments["levels"], arguments["hidden_dims"], strict=False))
        levels = resolve_levels(overrides.get("levels", arguments["levels"]))
        if set(levels) <= set(width):
            arguments["hidden_dims"] = tuple(width[level] for level in levels)
        else:
            del arguments["hidden_dims"]
    if overrides.get("standardize_features") is False:
        arguments.pop("cosine_damping", None)
    return {**arguments, **overrides}
