from typing import Any

import keras

from keras_rlr.layers.feed_forward import FeedForward
from keras_rlr.layers.grid_attention import GridAttention
from keras_rlr.layers.initializers import derive_seed, resolve_seed
from keras_rlr.layers.local_cross_attention import LocalCrossAttention
from keras_rlr.layers.masked_learnable_key_attention import MaskedLearnableKeyAttention

ATTENTIONS = ("mlka", "lca", "cross", "self")
_FROM_REFERENCE = ("lca", "cross")
# What of an attention depends on the reference alone.
_FOLDED = {
    "mlka": ("key",),
    "lca": ("key", "value"),
    "cross": ("key", "value"),
    "self": (),
}


def validate_attentions(attentions: Any) -> tuple[str, ...]:
    """Returns `attentions` as a tuple of distinct known names.

    Raises:
        ValueError: If it is empty, repeats a name or holds an unknown one.
    """
    names = (attentions,) if isinstance(attentions, str) else tuple(attentions)
    if not names or len(set(names)) != len(names) or not set(names) <= set(ATTENTIONS):
        raise ValueError(
            "`attentions` must name one or more of 'mlka', 'lca', 'cross' and 'self', "
            f"each once. Received: {attentions!r}."
        )
    return names


@keras.saving.register_keras_serializable(package="keras_rlr")
class ReconstructionBlock(keras.layers.Layer):
    """One block of the reconstructor: attention to the reference, then an FFN.

        Z  = LN(MLKA(Y, R) + α · LCA(Y, R))
        Y' = LN(FFN(Z) + Z)

    There is no residual around the attentions: what leaves the block is made from
    the reference and from other tokens. Source: section 3.2 of the paper; LayerNorm
    epsilon 1e-5 as in the authors' implementation.

    The ablations of table 3 are configurations: `attentions` says what is summed,
    "cross" and "self" being plain attentions to the reference and to the tokens
    themselves; what reads the reference counts α times. `residual` adds Y to the
    sum, in which case a single branch counts once, as in the paper's figure.

    Args:
        window: Odd side of the window of MLKA and LCA, in tokens.
        num_heads: Number of attention heads; divides D.
        alpha: Factor α of the branches that read the reference.
        attentions: Names of the branches.
        residual: Whether Y is added to the attentions.
        seed: Seed of the initial values, or None to draw one.
        compact: Whether what depends on the reference alone is held in place of it,
            see `RLR.compact`; the reference of a call is then ignored.

    Call arguments:
        tokens: Tensor (batch, height, width, D), Y.
        reference: Tensor (batch or 1, height, width · K, D), the embedded reference R,
            of K tokens a place, side by side.

    Returns:
        Tensor (batch, height, width, D) in the compute dtype.

    Raises:
        ValueError: If the window is even or hides the whole grid from MLKA, a branch
            is unknown, or `num_heads` does not divide D.

    Example:

    >>> block = keras_rlr.layers.ReconstructionBlock(window=3, num_heads=4)
    >>> tokens = np.random.normal(size=(2, 6, 6, 16)).astype("float32")
    >>> block(tokens, tokens[:1]).shape
    (2, 6, 6, 16)
    """

    def __init__(
        self,
        window: int,
        num_heads: int = 8,
        alpha: float = 2.0,
        attentions: Any = ("mlka", "lca"),
        residual: bool = False,
        seed: int | None = None,
        compact: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.window = window
        self.num_heads = num_heads
        self.alpha = float(alpha)
        self.attentions = validate_attentions(attentions)
        self.residual = bool(residual)
        self.seed = resolve_seed(seed)
        self.compact = bool(compact)
        # The layers must be attributes for Keras to name and save them.
        for name in self.attentions:
            setattr(self, name, self._attention(name))
        self.attention_norm = self._norm("attention_norm")
        self.ffn = FeedForward(
            seed=derive_seed(self.seed, "ffn"), name="ffn", dtype=self.dtype_policy
        )
        self.ffn_norm = self._norm("ffn_norm")

    def _attention(self, name):
        shared = {
            "num_heads": self.num_heads,
            "seed": derive_seed(self.seed, name),
            "name": name,
            "dtype": self.dtype_policy,
            "folded": _FOLDED[name] if self.compact else (),
        }
        if name == "mlka":
            return MaskedLearnableKeyAttention(self.window, **shared)
        if name == "lca":
            return LocalCrossAttention(self.window, **shared)
        return GridAttention(**shared)

    def _norm(self, name):
        return keras.layers.LayerNormalization(
            epsilon=1e-5, name=name, dtype=self.dtype_policy
        )

    def build(self, tokens_shape: Any, reference_shape: Any = None) -> None:
        """Creates the weights for tokens of shape `tokens_shape`."""
        for name in self.attentions:
            # "self" has no reference.
            key_shape = None if name == "self" else reference_shape
            getattr(self, name).build(tokens_shape, key_shape)
        for layer in (self.attention_norm, self.ffn, self.ffn_norm):
            layer.build(tokens_shape)
        self.built = True

    def call(self, tokens: Any, reference: Any = None) -> Any:
        """Returns the tokens rebuilt from the reference."""
        if self.compact:
            reference = tokens
        mixed = tokens if self.residual else None
        for name in self.attentions:
            branch = self._attend(name, tokens, reference)
            alone_on_residual = self.residual and len(self.attentions) == 1
            if name in _FROM_REFERENCE and not alone_on_residual:
                branch = branch * self.alpha
            mixed = branch if mixed is None else mixed + branch
        mixed = self.attention_norm(mixed)
        return self.ffn_norm(self.ffn(mixed) + mixed)

    def _attend(self, name, tokens, reference):
        layer = getattr(self, name)
        if name == "self":
            return layer(tokens, tokens, tokens)
        if name == "cross":
            return layer(tokens, reference, reference)
        return layer(tokens, reference)

    def fold(self, block: Any, reference: Any) -> None:
        """Takes what depends on the reference from a block that is not compact.

        Args:
            block: The `ReconstructionBlock`.
            reference: Its embedded reference, tensor (1, height, width · K, D).
        """
        for name in self.attentions:
            for part in _FOLDED[name]:
                heads = getattr(block, name).heads(part, reference)
                getattr(getattr(self, name), f"folded_{part}").assign(heads)

    def compute_output_shape(
        self, tokens_shape: Any, reference_shape: Any = None
    ) -> Any:
        """Returns the shape of the tokens."""
        return tuple(tokens_shape)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "window": self.window,
            "num_heads": self.num_heads,
            "alpha": self.alpha,
            "attentions": self.attentions,
            "residual": self.residual,
            "seed": self.seed,
            "compact": self.compact,
        }
