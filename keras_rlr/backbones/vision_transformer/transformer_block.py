import math
from typing import Any

import keras
from keras import ops

from keras_rlr.backbones.vision_transformer.positions import rotary_table
from keras_rlr.layers.masked_attention import (
    fused_attention,
    has_fused_attention,
    hidden_softmax,
)

_ACTIVATIONS = {
    "gelu": lambda x: ops.gelu(x, approximate=False),
    "silu": ops.silu,
}


@keras.saving.register_keras_serializable(package="keras_rlr")
class TransformerBlock(keras.layers.Layer):
    """A block of a vision transformer, as DINOv2 and DINOv3 have it, for inference.

    Self-attention of all tokens and a perceptron, each behind a normalisation and with
    a residual. The networks' scales of each branch ("layer scale") are part of its last
    linear layer here.

    Args:
        num_heads: Attention heads.
        mlp_dim: Width of the perceptron's hidden layer.
        activation: Of the hidden layer: "gelu" (exact) or "silu".
        gated: Whether the activation is that of a gate, which the hidden layer is
            multiplied by.
        epsilon: Of the normalisations.
        grid: (height, width) of the tokens at the end, for rotary positions.
        rope_theta: Base period of rotary positions, or None for none.

    Call arguments:
        tokens: Tensor (batch, tokens, channels).

    Returns:
        Tensor of the same shape.

    Raises:
        ValueError: If the channels can't be divided among the heads.
    """

    def __init__(
        self,
        num_heads: int,
        mlp_dim: int,
        activation: str = "gelu",
        gated: bool = False,
        epsilon: float = 1e-6,
        grid: tuple[int, int] | None = None,
        rope_theta: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_heads = int(num_heads)
        self.mlp_dim = int(mlp_dim)
        self.activation = activation
        self.gated = bool(gated)
        self.epsilon = float(epsilon)
        self.grid = None if grid is None else (int(grid[0]), int(grid[1]))
        self.rope_theta = rope_theta
        if activation not in _ACTIVATIONS:
            raise ValueError(
                f"`activation` must be one of {', '.join(map(repr, _ACTIVATIONS))}. "
                f"Received: {activation!r}."
            )

    def build(self, tokens_shape: Any) -> None:
        """Creates normalisations and linear layers."""
        _, count, channels = tokens_shape
        if channels % self.num_heads:
            raise ValueError(
                f"{channels} channels can't be divided among {self.num_heads} heads."
            )
        self.head_dim = channels // self.num_heads
        self.attention_norm = self._norm("attention_norm", tokens_shape)
        self.query = self._dense("query", channels, channels)
        self.key = self._dense("key", channels, channels)
        self.value = self._dense("value", channels, channels)
        self.attention_output = self._dense("attention_output", channels, channels)
        self.mlp_norm = self._norm("mlp_norm", tokens_shape)
        self.mlp_hidden = self._dense("mlp_hidden", channels, self.mlp_dim)
        if self.gated:
            self.mlp_gate = self._dense("mlp_gate", channels, self.mlp_dim)
        self.mlp_output = self._dense("mlp_output", self.mlp_dim, channels)
        self._rotation = None
        if self.rope_theta is not None and self.grid is not None:
            prefix = count - self.grid[0] * self.grid[1]
            self._rotation = rotary_table(
                self.grid, self.head_dim, self.rope_theta, prefix
            )

    def _norm(self, name, shape):
        norm = keras.layers.LayerNormalization(
            epsilon=self.epsilon, name=name, dtype=self.dtype_policy
        )
        norm.build(shape)
        return norm

    def _dense(self, name, inputs, outputs):
        dense = keras.layers.Dense(
            outputs,
            kernel_initializer=keras.initializers.TruncatedNormal(stddev=0.02),
            name=name,
            dtype=self.dtype_policy,
        )
        dense.build((None, None, inputs))
        return dense

    def call(self, tokens: Any) -> Any:
        """Returns the tokens after the block."""
        tokens = tokens + self._attended(self.attention_norm(tokens))
        seen = self.mlp_norm(tokens)
        activation = _ACTIVATIONS[self.activation]
        hidden = self.mlp_hidden(seen)
        if self.gated:
            hidden = activation(self.mlp_gate(seen)) * hidden
        else:
            hidden = activation(hidden)
        return tokens + self.mlp_output(hidden)

    def _attended(self, tokens):
        query, key, value = (
            self._by_head(layer(tokens)) for layer in (self.query, self.key, self.value)
        )
        if self._rotation is not None:
            query, key = (self._rotated(x, *self._rotation) for x in (query, key))
        query = query * (1.0 / math.sqrt(self.head_dim))
        if has_fused_attention():
            attended = fused_attention(query, key, value)
        else:
            scores = ops.matmul(query, ops.transpose(key, (0, 1, 3, 2)))
            weights = ops.cast(hidden_softmax(scores, None), value.dtype)
            attended = ops.matmul(weights, value)
        attended = ops.transpose(attended, (0, 2, 1, 3))
        return self.attention_output(ops.reshape(attended, ops.shape(tokens)))

    def _by_head(self, tokens):
        count = tokens.shape[1]
        tokens = ops.reshape(tokens, (-1, count, self.num_heads, self.head_dim))
        return ops.transpose(tokens, (0, 2, 1, 3))

    def _rotated(self, x, cosine, sine):
        cosine, sine = (
            ops.cast(ops.convert_to_tensor(table), x.dtype) for table in (cosine, sine)
        )
        half = self.head_dim // 2
        turned = ops.concatenate([-x[..., half:], x[..., :half]], axis=-1)
        return x * cosine + turned * sine

    def compute_output_shape(self, tokens_shape: Any) -> Any:
        """Returns the shape of the tokens."""
        return tuple(tokens_shape)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "mlp_dim": self.mlp_dim,
            "activation": self.activation,
            "gated": self.gated,
            "epsilon": self.epsilon,
            "grid": self.grid,
            "rope_theta": self.rope_theta,
        }
