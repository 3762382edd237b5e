"""The reconstruction loss, and the token error it shares with the anomaly map."""

from typing import Any

import keras
from keras import ops


def cosine_similarity(first: Any, second: Any, damping: float = 0.0) -> Any:
    """Cosine similarity over the last axis, optionally damped.

        (a · b + τ) / (‖a‖ ‖b‖ + τ)

    Args:
        first: Tensor (..., C).
        second: Tensor (..., C).
        damping: τ, 0 for the paper's cosine. Where both norms are small against τ
            the similarity goes to 1: the direction of a token near the mean of
            standardised features is noise, not evidence.

    Returns:
        Tensor (...). Norms are kept above 1e-8, as in the authors' implementation.
    """

    def norm(tokens):
        # The maximum is taken under the root: its gradient at 0 is infinite.
        return ops.sqrt(ops.maximum(ops.sum(ops.square(tokens), axis=-1), 1e-16))

    product = ops.sum(first * second, axis=-1)
    return (product + damping) / (norm(first) * norm(second) + damping)


def token_error(
    features: Any,
    reconstruction: Any,
    damping: float = 0.0,
    with_square: bool = True,
) -> Any:
    """Error of each token: mean square over channels plus 1 minus cosine.

    Args:
        features: Tensor (..., C).
        reconstruction: Tensor (..., C).
        damping: τ of `cosine_similarity`.
        with_square: Whether the mean square is part of it.

    Returns:
        float32 tensor (...).
    """
    features = ops.cast(features, "float32")
    reconstruction = ops.cast(reconstruction, "float32")
    error = 1.0 - cosine_similarity(features, reconstruction, damping)
    if not with_square:
        return error
    return error + ops.mean(ops.square(features - reconstruction), axis=-1)


# What the gradient of easy tokens is multiplied by.
_WEAKER = 0.1


def weaken_easy_tokens(errors: Any, share: float) -> Any:
    """Returns the same errors, with a tenth of the gradient of each image's smallest.

    Source: the "hard mining" of "Dinomaly: The Less Is More Philosophy in Multi-Class
    Unsupervised Anomaly Detection" (Guo et al., 2025), where the share grows over the
    first 1000 steps and counts the tokens of a batch; here it is the same from the
    first step on, and of each image, so that devices need not know of each other.

    Args:
        errors: Tensor (batch, height, width).
        share: Share of an image's tokens that are easy, from 0 to less than 1.

    Returns:
        Tensor (batch, height, width), of the values of `errors`.
    """
    tokens = errors.shape[1] * errors.shape[2]
    hard = max(1, round((1.0 - share) * tokens))
    flat = ops.stop_gradient(ops.reshape(errors, (-1, tokens)))
    limit = ops.reshape(ops.top_k(flat, hard)[0][:, -1], (-1, 1, 1))
    constant = ops.stop_gradient(errors)
    return ops.where(errors >= limit, errors, constant + _WEAKER * (errors - constant))


@keras.saving.register_keras_serializable(package="keras_rlr")
class ReconstructionLoss(keras.losses.Loss):
    """Mean square error plus mean cosine distance between feature maps.

        L = mean((F_rec - F_org)²) + mean over tokens of (1 - cos(F_rec, F_org))

    of one level; the model's loss is the sum over its levels. Source: equations 7
    to 9 of the paper, with the mean square of the authors' implementation in place
    of the L2 norm. Computed in float32 whatever the inputs.

    Args:
        with_square: Whether the mean square is part of it, or the cosine is all.
        hard_mining: Share of each image's tokens, those of the smallest error, whose
            gradient is a tenth of what it would be; 0 is the paper's.
        reduction: As in Keras.
        name: As in Keras.
        dtype: As in Keras.

    Call arguments:
        y_true: The clean features, tensor (batch, height, width, C).
        y_pred: The reconstruction, tensor (batch, height, width, C).

    Returns:
        Scalar, or (batch,) with `reduction=None`.

    Example:

    >>> features = np.random.normal(size=(2, 4, 4, 8)).astype("float32")
    >>> float(keras_rlr.losses.ReconstructionLoss()(features, features)) < 1e-6
    True
    """

    def __init__(
        self,
        with_square: bool = True,
        hard_mining: float = 0.0,
        reduction: str | None = "sum_over_batch_size",
        name: str = "reconstruction_loss",
        dtype: Any = None,
    ) -> None:
        super().__init__(reduction=reduction, name=name, dtype=dtype or "float32")
        if not 0 <= hard_mining < 1:
            raise ValueError(
                "`hard_mining` is a share of the tokens, at least 0 and less than 1. "
                f"Received: {hard_mining!r}."
            )
        self.with_square = bool(with_square)
        self.hard_mining = float(hard_mining)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Returns the loss of each sample, (batch,)."""
        errors = token_error(y_true, y_pred, with_square=self.with_square)
        if self.hard_mining:
            errors = weaken_easy_tokens(errors, self.hard_mining)
        return ops.mean(errors, axis=(1, 2))

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "with_square": self.with_square,
            "hard_mining": self.hard_mining,
        }


@keras.saving.register_keras_serializable(package="keras_rlr")
class MeanOfErrors(keras.losses.Loss):
    """Weighted mean of errors that a model has computed already.

    Keras' own reduction, so that under a `tf.distribute.Strategy` the loss is scaled
    as Keras scales every other.

    Args:
        reduction: As in Keras.
        name: As in Keras.
        dtype: As in Keras.

    Call arguments:
        y_true: Unused; Keras' losses have two arguments.
        y_pred: The errors, tensor (batch,).

    Returns:
        Scalar, float32.

    Example:

    >>> errors = np.array([1.0, 3.0], "float32")
    >>> float(keras_rlr.losses.MeanOfErrors()(errors, errors))
    2.0
    """

    def __init__(
        self,
        reduction: str = "sum_over_batch_size",
        name: str = "mean_of_errors",
        dtype: Any = None,
    ) -> None:
        super().__init__(reduction=reduction, name=name, dtype=dtype or "float32")

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Returns the errors."""
        return y_pred
