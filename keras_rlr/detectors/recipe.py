"""How long and how fast a detector is trained unless the user says otherwise."""

import math
import warnings
from dataclasses import dataclass

import keras


@dataclass(frozen=True)
class Recipe:
    """The settings of a training run.

    Args:
        name: "default" or "paper".
        epochs: Passes over the training images, at least.
        batch_size: Images a step.
        learning_rate: Of Adam, constant but for `drops`.
        beta_2: Of Adam: how slowly it forgets the size of past gradients.
        steps: Steps, at least: few images are passed over more often.
        drops: Shares of the epochs after which the rate is multiplied once more.
        drop_factor: By what.
    """

    name: str
    epochs: int
    batch_size: int
    learning_rate: float
    beta_2: float = 0.999
    steps: int = 1
    drops: tuple[float, ...] = ()
    drop_factor: float = 1.0

    def epochs_for(self, steps_per_epoch):
        """Returns the passes over data after which both minima are reached.

        Args:
            steps_per_epoch: Steps of a pass, or None if that is not known; then
                `epochs`, with a warning where they may be fewer than `steps`.
        """
        if not steps_per_epoch:
            if self.steps > 1:
                warnings.warn(
                    f"The data does not say how many images it has: {self.epochs} "
                    f"epochs are trained, which may be fewer than the {self.steps} "
                    "steps that a model takes to learn. Give `epochs`, or say the "
                    "number: `ds.apply(tf.data.experimental.assert_cardinality(n))`.",
                    stacklevel=3,
                )
            return self.epochs
        return max(self.epochs, math.ceil(self.steps / steps_per_epoch))

    def drops_before(self, epoch, epochs):
        """How often the rate is lower in an epoch.

        Args:
            epoch: The epoch, the first being 0.
            epochs: Number of epochs of the whole training.
        """
        return sum(epoch >= round(share * epochs) > 0 for share in self.drops)

    def optimizer(self):
        """Returns a new optimizer, Adam."""
        return keras.optimizers.Adam(
            self.learning_rate, beta_2=self.beta_2, epsilon=1e-8, name="adam"
        )
