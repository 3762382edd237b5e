from typing import Any

import keras

from keras_rlr.layers.grid_attention import GridAttention


@keras.saving.register_keras_serializable(package="keras_rlr")
class MaskedLearnableKeyAttention(GridAttention):
    """Masked Learnable Key Attention (MLKA): values from the image, keys learned.

    For a token i with the window N(i) around it, clipped at the borders:

        MLKA(Y, R)_i = Σ_{j ∉ N(i)} softmax_j(q(Y_i) · k(R_j) / √d) v(Y_j)

    followed by the output projection, with `num_heads` heads of d = D / num_heads.
    A token never sees itself or its neighbours, so it can't be copied through.
    Source: section 3.2 of the paper; R is the *embedded* reference, as in the
    authors' implementation.

    Args:
        window: Odd side of the hidden window, in tokens.
        num_heads: Number of heads; divides D.
        seed: Seed of the initial values, or None to draw one.
        folded: See `GridAttention`.

    Call arguments:
        query: Tensor (batch, height, width, D), the tokens Y.
        reference: Tensor (batch or 1, height, width · K, D), the embedded reference R,
            of K tokens a place, side by side. j goes over all of them.

    Returns:
        Tensor (batch, height, width, D) in the compute dtype.

    Raises:
        ValueError: If the window is even, or hides the whole grid of some token.

    Example:

    >>> attention = keras_rlr.layers.MaskedLearnableKeyAttention(window=3)
    >>> tokens = np.random.normal(size=(2, 6, 5, 16)).astype("float32")
    >>> attention(tokens, tokens[:1]).shape
    (2, 6, 5, 16)
    """

    def __init__(
        self,
        window: int,
        num_heads: int = 8,
        seed: int | None = None,
        folded: Any = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(
            num_heads=num_heads,
            window=window,
            visible="outside",
            seed=seed,
            folded=folded,
            **kwargs,
        )

    def build(  # type: ignore[override]
        self, query_shape: Any, reference_shape: Any = None
    ) -> None:
        """Creates the projections."""
        super().build(query_shape, reference_shape)

    def call(self, query: Any, reference: Any) -> Any:  # type: ignore[override]
        """Attends with learned keys to the image's own tokens."""
        return super().call(query, reference, query)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        config = super().get_config()
        del config["visible"]
        return config
