from typing import Any

import keras
from keras import ops

from keras_rlr.checked_numbers import finite_number
from keras_rlr.layers.counter_noise import counter_normal, counter_uniform
from keras_rlr.layers.initializers import derive_seed, resolve_seed


@keras.saving.register_keras_serializable(package="keras_rlr")
class FeaturePerturbation(keras.layers.Layer):
    """Disturbs feature tokens in training, by noise or dropout; passes them on else.

    With a standard normal n of the shape of a token f of C channels:

        f + n · scale · ‖f‖₂ / C

    Source: section 3.1 of the paper, with the scale of the authors' implementation.
    The noise is a pure function of `seed`, the key and the place in the feature map:
    the same on every backend and for any number of devices.

    Args:
        scale: Factor of the noise; 4 in the authors' implementation, 0 for none.
        probability: Share of the tokens that get noise; of N tokens exactly
            int((1 - probability) · N), drawn anew for each image, stay clean.
        dropout: Share of the values that are 0 after the noise, drawn anew for each
            image; the others grow by as much. Ours; 0 in the authors' implementation.
        seed: Seed of the noise, or None to draw one.

    Call arguments:
        features: Tensor (batch, height, width, C).
        noise_key: int32 tensor (batch, 2), one key an image, or None to draw keys
            from the layer's own seed generator.
        training: Whether to add noise.

    Returns:
        Tensor of the shape of `features`, in the compute dtype.

    Raises:
        ValueError: If `scale` is negative or `probability` is not in [0, 1].

    Example:

    >>> layer = keras_rlr.layers.FeaturePerturbation(scale=4.0, seed=0)
    >>> features = np.ones((2, 4, 4, 8), "float32")
    >>> layer(features, training=True).shape
    (2, 4, 4, 8)
    """

    def __init__(
        self,
        scale: float = 4.0,
        probability: float = 1.0,
        dropout: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not 0 <= probability <= 1:
            raise ValueError(
                f"`probability` must be in [0, 1]. Received: {probability!r}."
            )
        if not 0 <= dropout < 1:
            raise ValueError(f"`dropout` must be in [0, 1). Received: {dropout!r}.")
        self.dropout = float(dropout)
        self.scale = finite_number("scale", scale, 0)
        self.probability = float(probability)
        self.seed = resolve_seed(seed)
        self.input_spec = keras.layers.InputSpec(ndim=4)
        self.seed_generator = keras.random.SeedGenerator(derive_seed(self.seed, "keys"))

    def build(self, features_shape: Any, noise_key_shape: Any = None) -> None:
        """Has no weights."""
        self.built = True

    def call(self, features: Any, noise_key: Any = None, training: bool = False) -> Any:
        """Returns the features with noise when `training`."""
        features = ops.cast(features, self.compute_dtype)
        if not training or not (self.scale or self.dropout):
            return features
        height, width, channels = features.shape[1:]
        tokens = height * width
        if noise_key is None:
            noise_key = keras.random.randint(
                (ops.shape(features)[0], 2),
                0,
                2**31 - 1,
                dtype="int32",
                seed=self.seed_generator,
            )
        exact = ops.cast(features, "float32")
        if self.scale:
            exact = exact + self._noise(exact, noise_key)
        if self.dropout:
            seed = derive_seed(self.seed, "dropout")
            draw = counter_uniform(noise_key, tokens * channels, seed)
            # The draw is from -1 to 1.
            kept = draw >= 2.0 * self.dropout - 1.0
            kept = ops.reshape(kept, (-1, height, width, channels))
            exact = ops.where(kept, exact / (1.0 - self.dropout), 0.0)
        return ops.cast(exact, features.dtype)

    def _noise(self, exact, noise_key):
        height, width, channels = exact.shape[1:]
        tokens = height * width
        noise = counter_normal(noise_key, tokens * channels, self.seed)
        noise = ops.reshape(noise, (-1, height, width, channels))
        norm = ops.sqrt(ops.sum(ops.square(exact), axis=-1, keepdims=True))
        noise = noise * norm * (self.scale / channels)
        clean = int((1.0 - self.probability) * tokens)
        if clean:
            draw = counter_uniform(noise_key, tokens, derive_seed(self.seed, "clean"))
            rank = ops.argsort(ops.argsort(draw, axis=-1), axis=-1)
            noisy = ops.reshape(rank >= clean, (-1, height, width, 1))
            noise = ops.where(noisy, noise, 0.0)
        return noise

    def compute_output_shape(
        self, features_shape: Any, noise_key_shape: Any = None
    ) -> Any:
        """Returns the shape of the features."""
        return tuple(features_shape)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "scale": self.scale,
            "probability": self.probability,
            "dropout": self.dropout,
            "seed": self.seed,
        }
