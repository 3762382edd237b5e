import math
from typing import Any

import keras
from keras import ops

from keras_rlr.layers.attention import grid_attention
from keras_rlr.layers.initializers import SeededUniform, derive_seed, resolve_seed
from keras_rlr.layers.neighborhood import (
    known_grid,
    validate_window,
    window_hides_grid,
)


@keras.saving.register_keras_serializable(package="keras_rlr")
class GridAttention(keras.layers.Layer):
    """Multi-head attention between token grids, whole or limited by a window.

    Query, key, value and output projections with biases; initial values as in the
    authors' implementation: query, key and value uniform in ±√(1.5 / D) with zero
    biases, output uniform in ±1/√D with zero bias.

    The attentions of the method are `MaskedLearnableKeyAttention` and
    `LocalCrossAttention`; this layer with `visible="all"` is the plain self- or
    cross-attention of the ablations (table 3 of the paper).

    Args:
        num_heads: Number of heads; divides the width D.
        window: Odd side of the window, or None when `visible` is "all".
        visible: "all", "inside" (only the window around a token is attended to)
            or "outside" (all but that window).
        seed: Seed of the initial values, or None to draw one.
        folded: Of "key" and "value" those that are the same in every call: instead of
            a projection the layer then has its result, as a weight that is not
            trained, and ignores the argument. See `RLR.compact`.

    Call arguments:
        query: Tensor (batch, height, width, D).
        key: Tensor (batch or 1, height, width · K, D): the K keys of a place are side
            by side, and a window shows or hides all of them.
        value: Tensor of the shape of the key, or (batch or 1, height, width, D): then
            all keys of a place have the one value.

    Returns:
        Tensor (batch, height, width, D).

    Raises:
        ValueError: If `num_heads` does not divide D, the window is even, or it hides
            the whole grid of some token. If key or value are of another grid.

    Example:

    >>> attention = keras_rlr.layers.GridAttention(num_heads=2)
    >>> tokens = np.ones((1, 4, 5, 8), "float32")
    >>> attention(tokens, tokens, tokens).shape
    (1, 4, 5, 8)
    """

    def __init__(
        self,
        num_heads: int = 8,
        window: int | None = None,
        visible: str = "all",
        seed: int | None = None,
        folded: Any = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not set(folded) <= {"key", "value"}:
            raise ValueError(
                f"`folded` may name 'key' and 'value'. Received: {folded!r}."
            )
        if visible not in ("all", "inside", "outside"):
            raise ValueError(
                "`visible` must be 'all', 'inside' or 'outside'. "
                f"Received: {visible!r}."
            )
        if visible != "all":
            window = validate_window(window)
        self.num_heads = int(num_heads)
        self.window: Any = window
        self.visible = visible
        self.seed = resolve_seed(seed)
        self.folded = tuple(folded)
        self.input_spec = keras.layers.InputSpec(ndim=4)

    def build(
        self, query_shape: Any, key_shape: Any = None, value_shape: Any = None
    ) -> None:
        """Creates the four projections; checks that every token sees something."""
        height, width, dim = known_grid(query_shape)
        if self.visible == "outside" and window_hides_grid(height, width, self.window):
            raise ValueError(
                f"A window of {self.window}x{self.window} tokens hides the whole "
                f"{height}x{width} grid from its middle token, which is left with "
                "nothing to attend to. Use a smaller window or a larger grid: one "
                f"side must be at least {self.window + 1} tokens."
            )
        if self.num_heads < 1 or dim % self.num_heads:
            raise ValueError(
                f"The number of heads must divide the width. Received: num_heads="
                f"{self.num_heads}, width {dim}."
            )
        # As wide as the key, which may have several tokens at a place.
        keys = height * (width if key_shape is None else key_shape[2])
        for name in self.folded:
            weight = self.add_weight(
                shape=(1, self.num_heads, keys, dim // self.num_heads),
                initializer="zeros",
                trainable=False,
                name=f"folded_{name}",
            )
            setattr(self, f"folded_{name}", weight)
        for name in ("query", "key", "value", "output"):
            if name in self.folded:
                continue
            limit = 1.0 / math.sqrt(dim) if name == "output" else math.sqrt(1.5 / dim)
            projection = keras.layers.Dense(
                dim,
                kernel_initializer=SeededUniform(limit, derive_seed(self.seed, name)),
                name=name,
                dtype=self.dtype_policy,
            )
            projection.build((None, None, dim))
            setattr(self, f"{name}_projection", projection)
        self.built = True

    def call(self, query: Any, key: Any, value: Any) -> Any:
        """Attends from `query` to `key` and returns the mixed `value`."""
        height, width, dim = query.shape[1:]
        for name, tokens in (("key", key), ("value", value)):
            if name not in self.folded and not _fits(tokens.shape, height, width):
                raise ValueError(
                    f"The {name} must lie in the grid of the query, with the same "
                    f"number of tokens at each place. Received a {name} of shape "
                    f"{tuple(tokens.shape)} and a query of {tuple(query.shape)}."
                )
        keys, values = self.heads("key", key), self.heads("value", value)
        attended = grid_attention(
            self.heads("query", query),
            keys,
            _one_each(values, keys),
            grid=(height, width),
            window=self.window,
            visible=self.visible,
        )
        attended = ops.transpose(attended, (0, 2, 1, 3))
        attended = ops.reshape(attended, (-1, height, width, dim))
        return self.output_projection(attended)

    def heads(self, name: str, tokens: Any) -> Any:
        """The projection of tokens as "query", "key" or "value", split by heads.

        Args:
            name: Which projection.
            tokens: Tensor (batch, height, width, D).

        Returns:
            Tensor (batch, heads, height · width, D / heads).
        """
        if name in self.folded:
            return ops.cast(getattr(self, f"folded_{name}"), self.compute_dtype)
        tokens = getattr(self, f"{name}_projection")(tokens)
        height, width, dim = tokens.shape[1:]
        heads = ops.reshape(
            tokens, (-1, height * width, self.num_heads, dim // self.num_heads)
        )
        return ops.transpose(heads, (0, 2, 1, 3))

    def compute_output_shape(self, query_shape: Any, *other_shapes: Any) -> Any:
        """Returns the shape of the query."""
        return tuple(query_shape)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "window": self.window,
            "visible": self.visible,
            "seed": self.seed,
            "folded": self.folded,
        }


def _fits(shape, height, width):
    """Whether tokens of a shape are those of a grid's places, or several of each."""
    return len(shape) == 4 and shape[1] == height and not shape[2] % width


def _one_each(values, keys):
    """Values (batch, heads, places, d), again for each of the keys of a place."""
    heads, places, size = values.shape[1:]
    count = keys.shape[2] // places
    if count == 1:
        return values
    values = ops.concatenate([values] * count, axis=-1)
    return ops.reshape(values, (-1, heads, places * count, size))
