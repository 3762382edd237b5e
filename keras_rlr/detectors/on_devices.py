from typing import Any

import keras

from keras_rlr import processes
from keras_rlr.detectors.averaged_step import averaged_step
from keras_rlr.detectors.distribution import (
    current_distribution,
    device_count,
    distribution_scope,
    keep_everywhere,
    spread_variables,
)


class OnDevices(keras.Model):
    """A Keras model that knows of its devices and of other processes.

    It has a `distribution`, as `resolve_distribution` returned it, and a `recipe`.
    """

    distribution: Any
    recipe: Any

    def scope(self):
        """The context in which a detector's variables are made and its steps run."""
        return distribution_scope(self.distribution)

    @property
    def device_count(self):
        """Number of devices that share a batch."""
        return device_count(self.distribution)

    @property
    def places(self):
        """Which part of each batch is this process's, as arguments of batches."""
        return {
            "devices": self.device_count // processes.count(),
            "shard": processes.shard(),
        }

    @property
    def default_batch_size(self):
        """The recipe's, or the next larger number that all devices divide."""
        return -(-self.recipe.batch_size // self.device_count) * self.device_count

    def follow_distribution(self):
        """Moves to the devices of a `keras.distribution` set after construction."""
        surrounding = current_distribution()
        if self.distribution is None and hasattr(surrounding, "get_variable_layout"):
            self.distribution = surrounding
            spread_variables(self, surrounding)

    def train_step(self, *arguments):
        """As Keras' method; processes of PyTorch average their gradients."""
        if processes.average_gradients():
            return averaged_step(self, *arguments)
        return super().train_step(*arguments)

    def predict_step(self, *arguments):
        """As Keras' method; of several processes each has all outputs."""
        outputs = super().predict_step(*arguments)
        if processes.count() > 1 and self.distribution is not None:
            # JAX gives the non-trainable variables back too.
            return (keep_everywhere(outputs[0], self.distribution), *outputs[1:])
        return outputs
