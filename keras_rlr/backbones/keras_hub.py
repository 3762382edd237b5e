"""Feature pyramids of keras-hub."""

import contextlib
import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import numpy as np

from keras_rlr.backbones.backbone import IMAGENET_MEAN, IMAGENET_STD, Backbone
from keras_rlr.backbones.checks import (
    check_feature_maps,
    check_image_size,
    check_levels,
)
from keras_rlr.backbones.cut_model import cut_model
from keras_rlr.backbones.levels import Level
from keras_rlr.backbones.vision_transformer.create_vision_transformer import (
    create_from_keras_hub,
)
from keras_rlr.backbones.vision_transformer.from_keras_hub import is_vision_transformer
from keras_rlr.backbones.weights_file import load_weights_file
from keras_rlr.image_size import ImageSize

_ONE_MEAN = tuple(value / 255 for value in IMAGENET_MEAN)
_ONE_STD = tuple(value / 255 for value in IMAGENET_STD)


def import_keras_hub(purpose: str) -> ModuleType:
    """Imports keras-hub, which only its own presets need.

    Args:
        purpose: what needs it, for the message.

    Returns:
        The module `keras_hub`.

    Raises:
        ImportError: if keras-hub isn't installed.
    """
    try:
        import keras_hub
    except ImportError as error:
        raise ImportError(
            f"{purpose} needs keras-hub, which could not be imported ({error}). "
            "Install it with `pip install keras-hub`."
        ) from error
    return keras_hub


def is_preset_location(name: str) -> bool:
    """Whether the name is a folder or an address, which only keras-hub can read."""
    return "://" in name or Path(name).is_dir()


def create_keras_hub(
    preset: str,
    *,
    levels: Sequence[Level] | None,
    pyramid_levels: Sequence[Level],
    image_size: ImageSize,
    weights: str | Path | None,
) -> Backbone:
    """Builds a backbone from the `pyramid_outputs` of a keras-hub preset.

    Of DINOv2 and DINOv3 the blocks are taken.

    Args:
        preset: a preset's name, a folder or an address that keras-hub reads.
        levels: strictly increasing; level j is the pyramid's `P{j + 1}`, at
            stride 2^(j + 1), or a transformer's block; None for the default ones.
        pyramid_levels: the levels of what is no vision transformer.
        image_size: side of a square or (height, width), multiples of the strides.
        weights: `"imagenet"` (the preset's own), `None` (random), or the path
            of a weights file of the complete keras-hub backbone.

    Returns:
        The backbone, normalised as the preset's image converter says, or as
        for ImageNet if it has none.

    Raises:
        ImportError: if keras-hub isn't installed.
        ValueError: if the preset can't be read, isn't a feature pyramid, DINOv2 or
            DINOv3, or doesn't have a level.
        FileNotFoundError: if `weights` is a path and there is no file.

    Example:

    ```python
    from keras_rlr.backbones import create_backbone

    create_backbone(
        "resnet_50_imagenet", levels=(1, 2, 3), image_size=256, weights=None
    )
    ```
    """
    keras_hub = import_keras_hub(f"The backbone '{preset}'")
    try:
        complete = keras_hub.models.Backbone.from_preset(
            preset, load_weights=weights == "imagenet"
        )
    # The kaggle, hf and file readers behind it have no common exception.
    except Exception as error:
        raise ValueError(
            f"keras-hub could not load the backbone preset '{preset}' ({error}). "
            "Expected an image backbone's preset: a built-in name, a folder or an "
            "address; a first use of a built-in one needs a network."
            f"{_licence_step(preset)} The backbone 'efficientnet_lite2' ships with "
            "this package and needs none."
        ) from error
    if weights not in ("imagenet", None):
        load_weights_file(complete, weights, preset)
    name = Path(preset).name
    if is_vision_transformer(complete):
        return create_from_keras_hub(
            complete,
            name=name,
            levels=levels,
            image_size=image_size,
            normalization=_normalization(keras_hub, preset),
        )
    pyramid = getattr(complete, "pyramid_outputs", {})
    available = {
        level: pyramid[f"P{level + 1}"]
        for level in range(1, 10)
        if f"P{level + 1}" in pyramid
    }
    if not available:
        raise ValueError(
            f"The preset '{preset}' ({type(complete).__name__}) has no feature "
            "pyramid. Expected one with `pyramid_outputs`, as keras-hub's ResNet, "
            "EfficientNet or CSPNet backbones have, or DINOv2 or DINOv3."
        )
    numbers = check_levels(pyramid_levels, preset, sorted(available))
    check_image_size(image_size, [2 ** (level + 1) for level in numbers], preset)
    model = cut_model(
        complete.input,
        [available[level] for level in numbers],
        image_size=image_size,
        name=name,
    )
    check_feature_maps(model.outputs, image_size, preset)
    mean, std = _normalization(keras_hub, preset)
    return Backbone(name, model, mean, std, origin="keras_hub")


def _licence_step(preset: str) -> str:
    """What else is needed for weights whose licence must be accepted, or nothing."""
    if "dinov3" not in preset.lower():
        return ""
    return (
        " DINOv3's weights are given to those alone who have accepted Meta's licence: "
        "do so once on the model's page (https://www.kaggle.com/models/keras/dinov3 "
        "for names such as 'dinov3_vit_small_lvd1689m', else its page on "
        "huggingface.co), then let the download know you (KAGGLE_USERNAME and "
        "KAGGLE_KEY, or HF_TOKEN, in the environment)."
    )


def _normalization(
    keras_hub: ModuleType, preset: str
) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """The preset's x * scale + offset, written as (x - mean) / std, of 0 to 255."""
    try:
        converter = keras_hub.layers.ImageConverter.from_preset(preset)
    # keras-hub says "no converter" with a ValueError of its own wording.
    except (ValueError, FileNotFoundError):
        converter = None
    if converter is None:
        return _normalization_without_converter(preset)
    scale = np.ones(3) if converter.scale is None else np.array(converter.scale)
    offset = np.zeros(3) if converter.offset is None else np.array(converter.offset)
    return _three(-offset / scale), _three(1.0 / scale)


def _normalization_without_converter(
    preset: str,
) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """What a preset says to which keras-hub has no image converter.

    Those in the layout of Hugging Face have a file of it. Without one it is ImageNet's,
    and that is said.
    """
    file = Path(preset, "preprocessor_config.json")
    if preset.startswith("hf://"):
        # keras-hub has read the address by the same package just now.
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import EntryNotFoundError

        with contextlib.suppress(EntryNotFoundError):
            file = Path(hf_hub_download(preset.removeprefix("hf://"), file.name))
    if not file.is_file():
        warnings.warn(
            f"'{preset}' has no {file.name}, which says how its network's images are "
            "normalised: ImageNet's mean and standard deviation are taken.",
            stacklevel=2,
        )
        return IMAGENET_MEAN, IMAGENET_STD
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
        largest = 1 / float(config.get("rescale_factor", 1 / 255))
        if config.get("do_normalize") is False:
            config = {"image_mean": 0.0, "image_std": 1.0}
        mean = largest * np.array(config.get("image_mean", _ONE_MEAN), "float64")
        std = largest * np.array(config.get("image_std", _ONE_STD), "float64")
        if not (np.isfinite(mean).all() and np.isfinite(std).all() and (std > 0).all()):
            raise ValueError("image_std must be above 0, and both finite")
        return _three(mean), _three(std)
    except (ValueError, TypeError, AttributeError, ZeroDivisionError) as error:
        raise ValueError(
            f"The file preprocessor_config.json of '{preset}' is not one ({error}). "
            "Expected JSON with image_mean and image_std, three numbers each, and "
            "rescale_factor."
        ) from error


def _three(values: np.ndarray) -> tuple[float, float, float]:
    red, green, blue = np.broadcast_to(values.ravel(), 3)
    return float(red), float(green), float(blue)
