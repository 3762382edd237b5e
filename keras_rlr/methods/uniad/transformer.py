"""Encoder and decoder of UniAD; all parts work on grids of tokens."""

import math

import keras
from keras import ops

from keras_rlr.layers.grid_attention import GridAttention
from keras_rlr.layers.initializers import SeededUniform, derive_seed
from keras_rlr.layers.learned_position_encoding_2d import LearnedPositionEncoding2D
from keras_rlr.layers.reference_weights import ReferenceWeights


class Transformer(keras.layers.Layer):
    """Tokens through an encoder and a decoder, and back to the width they came with.

    Args:
        hidden_dim: Width D.
        ffn_dim: Width inside of the feed-forward networks.
        num_heads: Attention heads.
        num_encoder_layers: Layers of the encoder.
        num_decoder_layers: Layers of the decoder.
        window: Odd side of the neighbourhood that a token does not attend to.
        seed: Seed of the initial values.

    Call arguments:
        features: Tensor (batch, height, width, C).

    Returns:
        Tensor of that shape, in the compute dtype.
    """

    def __init__(
        self,
        hidden_dim,
        ffn_dim,
        num_heads,
        num_encoder_layers,
        num_decoder_layers,
        window,
        seed,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.hidden_dim = hidden_dim
        self.num_layers = {"encoder": num_encoder_layers, "decoder": num_decoder_layers}
        self.layer_settings = {
            "ffn_dim": ffn_dim,
            "num_heads": num_heads,
            "window": window,
        }
        self.seed = seed

    def build(self, input_shape):
        """Creates all layers."""
        shape = (*input_shape[:-1], self.hidden_dim)
        options = {"dtype": self.dtype_policy}

        def seed(name):
            return derive_seed(self.seed, name)

        self.input_projection = xavier_dense(
            self.hidden_dim,
            input_shape[-1],
            seed("input_projection"),
            name="input_projection",
            **options,
        )
        self.position = LearnedPositionEncoding2D(
            seed=seed("position"), name="position", **options
        )
        self.position.build(shape)
        self.encoder, self.decoder = (
            [
                kind(**self.layer_settings, seed=seed(name), name=name, **options)
                for name in (f"{part}_{i}" for i in range(self.num_layers[part]))
            ]
            for part, kind in (("encoder", EncoderLayer), ("decoder", DecoderLayer))
        )
        for layer in (*self.encoder, *self.decoder):
            layer.build(shape)
        self.final_norm = layer_norm(shape, name="final_norm", **options)
        self.output_projection = xavier_dense(
            input_shape[-1],
            self.hidden_dim,
            seed("output_projection"),
            name="output_projection",
            **options,
        )
        self.built = True

    def call(self, features):
        """Returns the reconstruction."""
        tokens = self.input_projection(features)
        position = self.position(tokens)
        for layer in self.encoder:
            tokens = layer(tokens, position)
        memory = tokens
        for layer in self.decoder:
            tokens = layer(tokens, memory, position)
        return self.output_projection(self.final_norm(tokens))


class _TransformerLayer(keras.layers.Layer):
    """What layers of encoder and decoder share.

    Args:
        ffn_dim: Width inside of the feed-forward network.
        num_heads: Attention heads.
        window: Odd side of the neighbourhood that is hidden.
        seed: Seed of the initial values.
    """

    attentions: tuple[str, ...] = ()

    def __init__(self, ffn_dim, num_heads, window, seed, **kwargs):
        super().__init__(**kwargs)
        self.ffn_dim = ffn_dim
        self.num_heads = num_heads
        self.window = window
        self.seed = seed

    def build(self, shape):
        """Creates the attentions with their norms, and the feed-forward network."""
        dim = shape[-1]
        options = {"dtype": self.dtype_policy}
        for name in self.attentions:
            attention = GridAttention(
                num_heads=self.num_heads,
                window=self.window,
                visible="outside",
                seed=derive_seed(self.seed, name),
                name=name,
                **options,
            )
            attention.build(shape, shape, shape)
            setattr(self, name, attention)
            setattr(self, f"{name}_norm", layer_norm(shape, f"{name}_norm", **options))
        widths = {"ffn_1": (self.ffn_dim, dim), "ffn_2": (dim, self.ffn_dim)}
        for name, (units, inputs) in widths.items():
            seed = derive_seed(self.seed, name)
            setattr(self, name, xavier_dense(units, inputs, seed, name=name, **options))
        self.ffn_norm = layer_norm(shape, "ffn_norm", **options)
        self.built = True

    def feed_forward(self, tokens):
        """Tokens through the feed-forward network, with residual and norm."""
        hidden = ops.relu(self.ffn_1(tokens))
        return self.ffn_norm(tokens + self.ffn_2(hidden))


class EncoderLayer(_TransformerLayer):
    """Self-attention outside of the neighbourhood, then a feed-forward network.

    Call arguments:
        tokens: Tensor (batch, height, width, D).
        position: Tensor (1, height, width, D), added to queries and keys.
    """

    attentions = ("self_attention",)

    def call(self, tokens, position):
        """Returns the layer's tokens."""
        placed = tokens + position
        attended = self.self_attention(placed, placed, tokens)
        return self.feed_forward(self.self_attention_norm(tokens + attended))


class DecoderLayer(_TransformerLayer):
    """From learned queries: attention to the encoder's tokens, then to the decoder's.

    The queries are the layer's own, one a place, and the same for every image; so the
    layer has no way to pass a token on.

    Call arguments:
        tokens: Output of the layer before, tensor (batch, height, width, D).
        memory: The encoder's output, of that shape.
        position: Tensor (1, height, width, D), added to queries and keys.
    """

    attentions = ("memory_attention", "token_attention")

    def build(self, shape):
        """Creates the queries too."""
        super().build(shape)
        self.query = ReferenceWeights(
            seed=derive_seed(self.seed, "query"), name="query", dtype=self.dtype_policy
        )
        self.query.build(shape)

    def call(self, tokens, memory, position):
        """Returns the layer's tokens."""
        query = ops.broadcast_to(self.query(memory), ops.shape(memory))
        for attention, norm, source in (
            (self.memory_attention, self.memory_attention_norm, memory),
            (self.token_attention, self.token_attention_norm, tokens),
        ):
            attended = attention(query + position, source + position, source)
            query = norm(query + attended)
        return self.feed_forward(query)


def xavier_dense(units, inputs, seed, **kwargs):
    """A built `Dense` as published: kernel Xavier uniform, no bias at first."""
    limit = math.sqrt(6.0 / (inputs + units))
    dense = keras.layers.Dense(
        units, kernel_initializer=SeededUniform(limit, seed), **kwargs
    )
    dense.build((None, None, None, inputs))
    return dense


def layer_norm(shape, name, **kwargs):
    """A built `LayerNormalization` with PyTorch's epsilon."""
    norm = keras.layers.LayerNormalization(epsilon=1e-5, name=name, **kwargs)
    norm.build(shape)
    return norm
