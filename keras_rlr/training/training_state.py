import dataclasses
from typing import Any

import numpy as np
from keras import ops


@dataclasses.dataclass(frozen=True)
class TrainingState:
    """Where a training stands, and what a saved model does not say of that.

    Args:
        epoch: Epochs that are done.
        batch: Batches of the next epoch that are done.
        step: The step that the noise of the next batch is drawn for.
        learning_rate: Of the optimizer, as it is between two epochs.
        rate_now: The learning rate inside of the epoch.
        seconds: That the batches of the epoch have taken.
        metrics: Values of the model's metrics, in the order of their variables.
    """

    epoch: int
    batch: int
    step: int
    learning_rate: float
    rate_now: float
    seconds: float = 0.0
    metrics: tuple[Any, ...] = ()

    @classmethod
    def from_dict(cls, notes: Any) -> "TrainingState":
        """The state that `to_dict` has written.

        Raises:
            ValueError: If it is not one.
        """
        try:
            state = cls(**notes)
            numbers = (state.epoch, state.batch, state.step)
            is_one = all(isinstance(each, int) and each >= 0 for each in numbers)
            float(state.learning_rate), float(state.rate_now), float(state.seconds)
        except (TypeError, ValueError):
            is_one = False
        if not is_one:
            raise ValueError("what it says of the training is not to be understood")
        return state

    def to_dict(self) -> dict[str, Any]:
        """Returns it as a dict that JSON holds to the last bit."""
        return dataclasses.asdict(self)


def values_of_metrics(model: Any) -> tuple[Any, ...]:
    """Returns the values of a model's metrics, which Keras' mean of an epoch is of.

    Args:
        model: The detector.
    """
    return tuple(
        np.asarray(ops.convert_to_numpy(variable)).tolist()
        for variable in model.metrics_variables
    )
