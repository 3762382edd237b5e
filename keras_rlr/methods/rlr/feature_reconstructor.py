import math
from numbers import Integral

import keras
import numpy as np
from keras import ops

from keras_rlr.layers.feed_forward import uniform_fan_in_dense
from keras_rlr.layers.initializers import (
    SeededNormal,
    SeededUniform,
    derive_seed,
    resolve_seed,
)
from keras_rlr.layers.neighborhood import known_grid, validate_window
from keras_rlr.layers.reconstruction_block import (
    ReconstructionBlock,
    validate_attentions,
)
from keras_rlr.layers.reference_weights import ReferenceWeights, validate_tokens
from keras_rlr.layers.sine_position_encoding_2d import (
    SinePositionEncoding2D,
    position_code,
)

# Beyond these no machine has the memory for a step.
_WIDEST, _MOST_BLOCKS = 2**14, 100


@keras.saving.register_keras_serializable(package="keras_rlr")
class FeatureReconstructor(keras.Model):
    """Rebuilds the feature map of one level from a learnable reference.

    Tokens and reference are embedded by a linear layer each (C → D) and get the
    same position code; `num_blocks` blocks follow, all reading the one embedded
    reference, then a LayerNorm and a linear layer D → C. Source: section 3.2 of the
    paper; initial values, final norm and position code as in the authors'
    implementation.

    Args:
        hidden_dim: Width D: divisible by 4 and by `num_heads`.
        window: Odd side of the attention window, in tokens.
        num_heads: Number of attention heads.
        num_blocks: Number of blocks.
        alpha: Factor of the attentions that read the reference.
        attentions: Branches of each block, see `ReconstructionBlock`.
        residual: Whether the blocks have a residual around the attentions.
        seed: Seed of the initial values, the same on every backend; None draws one.
        compact: Whether what depends on the reference alone is held in place of it,
            for inference; see `RLR.compact`.
        reference_tokens: Reference tokens K of each place; the paper has one.
        starts_from_data: Whether the reference is to be set once; see
            `ReferenceWeights`.
        references: Number of references, of which each image has one.

    Call arguments:
        features: Tensor (batch, height, width, C) of static height, width and C.
        numbers: int32 tensor (batch or 1,): which reference of several each image has.

    Returns:
        Tensor (batch, height, width, C) in the compute dtype.

    Raises:
        ValueError: If a width, window, head count or branch does not fit.

    Example:

    >>> model = keras_rlr.FeatureReconstructor(hidden_dim=32, window=3, num_blocks=2)
    >>> model(np.ones((1, 8, 8, 24), "float32")).shape
    (1, 8, 8, 24)
    """

    def __init__(
        self,
        hidden_dim,
        window,
        num_heads=8,
        num_blocks=4,
        alpha=2.0,
        attentions=("mlka", "lca"),
        residual=False,
        seed=None,
        compact=False,
        reference_tokens=1,
        starts_from_data=False,
        references=1,
        **kwargs,
    ):
        super().__init__(**kwargs)
        counts = {"hidden_dim": hidden_dim, "num_heads": num_heads}
        for name, count in {**counts, "num_blocks": num_blocks}.items():
            if not isinstance(count, Integral) or count < 0:
                raise ValueError(f"`{name}` takes whole numbers. Received: {count!r}.")
        if not math.isfinite(alpha):
            raise ValueError(f"`alpha` must be a finite number. Received: {alpha!r}.")
        if (
            num_heads < 1
            or not 4 <= hidden_dim <= _WIDEST
            or hidden_dim % 4
            or (hidden_dim % num_heads)
        ):
            raise ValueError(
                "`hidden_dim` must be divisible by 4 (position code) and by the "
                f"number of heads, and at most {_WIDEST}. Received: "
                f"hidden_dim={hidden_dim}, num_heads={num_heads}."
            )
        if not 1 <= num_blocks <= _MOST_BLOCKS:
            raise ValueError(
                f"`num_blocks` must be from 1 to {_MOST_BLOCKS}. Received: "
                f"{num_blocks}."
            )
        self.hidden_dim = int(hidden_dim)
        self.window = validate_window(window)
        self.num_heads = int(num_heads)
        self.num_blocks = int(num_blocks)
        self.alpha = float(alpha)
        self.attentions = validate_attentions(attentions)
        self.residual = bool(residual)
        self.seed = resolve_seed(seed)
        self.compact = bool(compact)
        self.reference_tokens = validate_tokens(reference_tokens)
        self.starts_from_data = bool(starts_from_data)
        self.references = int(references)

    def build(self, features_shape):
        """Creates all weights for features of shape `features_shape`."""
        height, width, channels = known_grid(features_shape)
        self.input_spec = keras.layers.InputSpec(shape=(None, height, width, channels))
        tokens_shape = (*features_shape[:-1], self.hidden_dim)
        reference_width = width * self.reference_tokens
        reference_shape = (1, height, reference_width, self.hidden_dim)
        self.input_projection = self._embedding("input_projection", channels)
        if not self.compact:
            self._create_reference(features_shape)
        self.position_encoding = SinePositionEncoding2D(
            name="position_encoding", dtype=self.dtype_policy
        )
        self.position_encoding.build(tokens_shape)
        self.blocks = []
        for index in range(self.num_blocks):
            name = f"block_{index}"
            block = ReconstructionBlock(
                window=self.window,
                num_heads=self.num_heads,
                alpha=self.alpha,
                attentions=self.attentions,
                residual=self.residual,
                seed=derive_seed(self.seed, name),
                name=name,
                compact=self.compact,
                dtype=self.dtype_policy,
            )
            block.build(tokens_shape, reference_shape)
            self.blocks.append(block)
        self.final_norm = keras.layers.LayerNormalization(
            epsilon=1e-5, name="final_norm", dtype=self.dtype_policy
        )
        self.final_norm.build(tokens_shape)
        self.output_projection = uniform_fan_in_dense(
            channels,
            self.hidden_dim,
            derive_seed(self.seed, "output_projection"),
            name="output_projection",
            dtype=self.dtype_policy,
        )
        self.built = True

    def _create_reference(self, input_shape):
        projection = self._embedding("reference_projection", input_shape[-1])
        self.reference_projection = projection
        self.reference_weights = ReferenceWeights(
            seed=derive_seed(self.seed, "reference"),
            tokens=self.reference_tokens,
            starts_from_data=self.starts_from_data,
            references=self.references,
            name="reference_weights",
            dtype=self.dtype_policy,
        )
        self.reference_weights.build(input_shape)
        if self.attentions == ("self",):
            # Nothing reads the reference, so it would have no gradient.
            self.reference_weights.trainable = False
            self.reference_projection.trainable = False

    def _embedding(self, name, channels):
        # Kaiming normal with the gain of ReLU, as in the authors' implementation.
        seed = derive_seed(self.seed, name)
        dense = keras.layers.Dense(
            self.hidden_dim,
            kernel_initializer=SeededNormal(
                math.sqrt(2.0 / channels), derive_seed(seed, "kernel")
            ),
            bias_initializer=SeededUniform(
                1.0 / math.sqrt(channels), derive_seed(seed, "bias")
            ),
            name=name,
            dtype=self.dtype_policy,
        )
        dense.build((None, None, channels))
        return dense

    def embed_input(self, features):
        """Returns the embedded tokens with position code, (batch, H, W, D)."""
        tokens = self.input_projection(features)
        return tokens + self.position_encoding(tokens)

    def embed_reference(self, features, numbers=None):
        """Returns the embedded reference with position code, (1, H, W · K, D).

        It depends on no image; `features` only tells the shape. Of several references
        it returns those of `numbers`.
        """
        reference = self.reference_weights(features, numbers)
        reference = self.reference_projection(reference)
        if self.reference_tokens == 1:
            return reference + self.position_encoding(reference)
        height, width = features.shape[1:3]
        # Tokens of one place have one code.
        code = position_code(height, width, self.hidden_dim)
        code = np.repeat(code, self.reference_tokens, axis=1)[None]
        return reference + ops.convert_to_tensor(code, dtype=self.compute_dtype)

    def call(self, features, numbers=None):
        """Returns the reconstruction of `features`."""
        tokens = self.embed_input(features)
        reference = None if self.compact else self.embed_reference(features, numbers)
        for block in self.blocks:
            tokens = block(tokens, reference)
        return self.output_projection(self.final_norm(tokens))

    def fold(self, reconstructor, features):
        """Takes what depends on the reference from one that is not compact.

        Args:
            reconstructor: The `FeatureReconstructor`.
            features: Tensor (batch, height, width, C); only its shape counts.
        """
        reference = reconstructor.embed_reference(features)
        for own, block in zip(self.blocks, reconstructor.blocks, strict=True):
            own.fold(block, reference)

    def quantize(self, *args, **kwargs):
        """Refused: what is saved then can't be loaded.

        Raises:
            ValueError: Always.
        """
        raise ValueError(
            "A FeatureReconstructor can't be quantized in place: what is saved then "
            "can't be loaded. Use it in 16 bits: dtype='mixed_bfloat16'."
        )

    def compute_output_shape(self, features_shape, numbers_shape=None):
        """Returns the shape of the features."""
        return tuple(features_shape)

    def get_config(self):
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "hidden_dim": self.hidden_dim,
            "window": self.window,
            "num_heads": self.num_heads,
            "num_blocks": self.num_blocks,
            "alpha": self.alpha,
            "attentions": self.attentions,
            "residual": self.residual,
            "seed": self.seed,
            "compact": self.compact,
            "reference_tokens": self.reference_tokens,
            "starts_from_data": self.starts_from_data,
            "references": self.references,
        }


def new_reconstructors(model):
    """Returns the reconstructors of an `RLR`, one a grid, built.

    Args:
        model: The `RLR`, whose settings they have.
    """
    reconstructors = []
    for grid, shape, hidden_dim, window in zip(
        model.grids, model.grid_shapes, model.hidden_dims, model.windows, strict=True
    ):
        reconstructor = FeatureReconstructor(
            hidden_dim,
            window,
            num_heads=model.num_heads,
            num_blocks=model.num_blocks,
            alpha=model.alpha,
            attentions=model.attentions,
            residual=model.residual,
            seed=derive_seed(model.seed, f"reconstructor_{grid}"),
            name=f"reconstructor_{grid}",
            compact=model.is_compact,
            reference_tokens=model.reference_tokens,
            starts_from_data=model.reference_start is not None,
            references=model.places_each,
            dtype=model.dtype_policy,
        )
        reconstructor.build((None, *shape))
        reconstructors.append(reconstructor)
    return reconstructors
