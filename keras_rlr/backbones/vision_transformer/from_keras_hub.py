"""Settings and weights of keras-hub's DINOv2 and DINOv3 backbones."""

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_rlr.backbones.vision_transformer.positions import resized_positions
from keras_rlr.backbones.vision_transformer.settings import ViTSettings

_CLASSES = ("DINOV2Backbone", "DINOV3Backbone")


def is_vision_transformer(model: Any) -> bool:
    """Whether a model is one of keras-hub's whose blocks can be looked at."""
    kind = type(model)
    return kind.__name__ in _CLASSES and kind.__module__.startswith("keras_hub.")


def settings_of(hub: Any) -> ViTSettings:
    """Returns the architecture of a keras-hub backbone.

    Args:
        hub: a `DINOV2Backbone` or `DINOV3Backbone`.
    """
    shared = {
        "patch_size": hub.patch_size,
        "depth": hub.num_layers,
        "width": hub.hidden_dim,
        "num_heads": hub.num_heads,
        "num_registers": hub.num_register_tokens,
    }
    if type(hub).__name__ == "DINOV3Backbone":
        return ViTSettings(
            **shared,
            mlp_dim=hub.intermediate_dim,
            activation=_activation(hub.hidden_activation),
            gated=hub.use_gated_mlp,
            epsilon=hub.layer_norm_eps,
            rope_theta=float(hub.rope_theta),
        )
    mlp_dim = hub.intermediate_dim
    if hub.use_swiglu_ffn:
        mlp_dim = hub.encoder.layers[0].mlp.actual_intermediate_dim
    return ViTSettings(
        **shared,
        mlp_dim=mlp_dim,
        activation="silu" if hub.use_swiglu_ffn else "gelu",
        gated=hub.use_swiglu_ffn,
        position_grid=hub.embeddings.position_embedding_shape[0] // hub.patch_size,
        antialias=hub.antialias_in_interpolation,
    )


def _activation(activation: Any) -> Any:
    name = getattr(activation, "__name__", activation)
    if name not in ("gelu", "silu"):
        raise ValueError(
            f"The backbone has the activation {name!r}. Expected 'gelu' or 'silu', as "
            "in the published DINOv3 networks."
        )
    return name


def keras_hub_backbone(keras_hub: Any, settings: ViTSettings) -> keras.Model:
    """Returns keras-hub's backbone of an architecture, with random weights.

    A file of weights that keras-hub wrote can be loaded into it.

    Args:
        keras_hub: the module.
        settings: the architecture.
    """
    shared = {
        "patch_size": settings.patch_size,
        "num_layers": settings.depth,
        "hidden_dim": settings.width,
        "num_heads": settings.num_heads,
        "intermediate_dim": settings.mlp_dim,
        "num_register_tokens": settings.num_registers,
    }
    if settings.rope_theta is not None:
        side = 14 * settings.patch_size
        return keras_hub.models.DINOV3Backbone(
            **shared,
            hidden_activation=settings.activation,
            use_gated_mlp=settings.gated,
            use_key_bias=False,
            layer_norm_eps=settings.epsilon,
            image_shape=(side, side, 3),
            rope_theta=settings.rope_theta,
        )
    side = settings.position_grid * settings.patch_size
    return keras_hub.models.DINOV2Backbone(
        **shared,
        image_shape=(side, side, 3),
        position_embedding_shape=(side, side),
        antialias_in_interpolation=settings.antialias,
    )


def copy_weights(
    hub: Any, model: keras.Model, settings: ViTSettings, grid: tuple[int, int]
) -> None:
    """Copies weights of a keras-hub backbone, as far as the model goes.

    Args:
        hub: the backbone of keras-hub.
        model: of `build_vision_transformer`.
        settings: the architecture of both.
        grid: (height, width) of the model's images in patches.
    """
    embeddings, patches = hub.embeddings, model.get_layer("patch_tokens")
    _copy_dense(embeddings.patch_embeddings.projection, patches.projection)
    prefix = [_array(embeddings.cls_token)]
    if settings.num_registers:
        prefix.append(_array(embeddings.register_tokens))
    positions = np.zeros((grid[0] * grid[1], settings.width), "float32")
    if settings.rope_theta is None:
        learned = _array(embeddings.position_embeddings)[0]
        own_grid = tuple(side // hub.patch_size for side in embeddings.image_shape)
        if own_grid == grid:
            # As they are: they may have been trained since.
            learned = _array(embeddings.interpolated_position_embeddings)[0]
        prefix[0] = prefix[0] + learned[0]
        positions = resized_positions(learned[1:], grid, settings.antialias)
    patches.prefix.assign(np.concatenate(prefix, axis=1))
    patches.positions.assign(positions[None])
    own = [layer for layer in model.layers if layer.name.startswith("block_")]
    # The model may be shorter.
    for theirs, block in zip(hub.encoder.layers, own, strict=False):
        _copy_block(theirs, block)


def _copy_block(theirs: Any, block: Any) -> None:
    for norm, own in (
        (theirs.norm1, block.attention_norm),
        (theirs.norm2, block.mlp_norm),
    ):
        own.gamma.assign(_array(norm.gamma))
        own.beta.assign(_array(norm.beta))
    attention = theirs.attention
    # DINOv2's is a layer of Keras inside of another one.
    attention = getattr(attention, "attention", attention)
    _copy_dense(attention.query_dense, block.query)
    _copy_dense(attention.key_dense, block.key)
    _copy_dense(attention.value_dense, block.value)
    scale = _array(theirs.layer_scale1.lambda1)
    _copy_dense(attention.output_dense, block.attention_output, scale)
    scale = _array(theirs.layer_scale2.lambda1)
    mlp = theirs.mlp
    if hasattr(mlp, "weights_in"):
        for i, own in enumerate((block.mlp_gate, block.mlp_hidden)):
            part = slice(i * block.mlp_dim, (i + 1) * block.mlp_dim)
            own.kernel.assign(_array(mlp.weights_in.kernel)[:, part])
            own.bias.assign(_array(mlp.weights_in.bias)[part])
        _copy_dense(mlp.weights_out, block.mlp_output, scale)
    elif hasattr(mlp, "up_proj"):
        if block.gated:
            _copy_dense(mlp.gate_proj, block.mlp_gate)
        _copy_dense(mlp.up_proj, block.mlp_hidden)
        _copy_dense(mlp.down_proj, block.mlp_output, scale)
    else:
        _copy_dense(mlp.fc1, block.mlp_hidden)
        _copy_dense(mlp.fc2, block.mlp_output, scale)


def _copy_dense(theirs: Any, own: Any, scale: np.ndarray | float = 1.0) -> None:
    """Copies kernel and bias; a scale of the outputs becomes part of both."""
    kernel = _array(theirs.kernel).reshape(own.kernel.shape)
    own.kernel.assign(kernel * scale)
    bias = theirs.bias
    zero = np.zeros(own.bias.shape, "float32")
    own.bias.assign(zero if bias is None else _array(bias).reshape(-1) * scale)


def _array(variable: Any) -> np.ndarray:
    return np.asarray(ops.convert_to_numpy(ops.cast(variable, "float32")))
