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
        learning_rate: Of Adam.
        beta_2: Of Adam: how slowly it forgets the size of past gradients.
        steps: Steps, at least: few images are passed over more often.
        weight_decay: Of AdamW, which takes Adam's place where it is above 0.
        drops: Shares of the epochs after which the learning rate is multiplied by
            `drop_factor` once more.
        drop_factor: See `drops`.
        cosine: Whether the learning rate falls from epoch to epoch as a cosine does, to
            0 at the end.
    """

    name: str
    epochs: int
    batch_size: int
    learning_rate: float
    beta_2: float = 0.999
    steps: int = 1
    weight_decay: float = 0.0
    drops: tuple[float, ...] = ()
    drop_factor: float = 1.0
    cosine: bool = False

    @property
    def has_schedule(self):
        """Whether the learning rate is not the same in all epochs."""
        return self.cosine or bool(self.drops)

    def rate_share(self, epoch, epochs):
        """Returns the share of the learning rate that an epoch has.

        Args:
            epoch: Counted from 0.
            epochs: How many there will be.
        """
        if self.cosine:
            return 0.5 + 0.5 * math.cos(
                math.pi * (epoch + 0.5) / max(epochs, epoch + 1)
            )
        done = sum(epoch >= math.ceil(share * epochs) for share in self.drops)
        return self.drop_factor**done

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

    def optimizer(self):
        """Returns a new optimizer, Adam or AdamW."""
        settings = {"beta_2": self.beta_2, "epsilon": 1e-8}
        if self.weight_decay:
            return keras.optimizers.AdamW(
                self.learning_rate,
                weight_decay=self.weight_decay,
                name="adamw",
                **settings,
            )
        return keras.optimizers.Adam(self.learning_rate, name="adam", **settings)


def named_recipe(name, default, paper):
    """Returns the recipe that a model's argument `recipe` names.

    Args:
        name: "default" or "paper".
        default: The `Recipe` of the first.
        paper: The `Recipe` of the second.

    Raises:
        ValueError: If it is another name.
    """
    recipes = {"default": default, "paper": paper}
    if name not in recipes:
        kind = "AdamW" if paper.weight_decay else "Adam"
        raise ValueError(
            f"Unknown recipe {name!r}. Expected 'default' or 'paper' ({kind} "
            f"{paper.learning_rate:g}, batches of {paper.batch_size}, {paper.epochs} "
            "epochs)."
        )
    return recipes[name]
