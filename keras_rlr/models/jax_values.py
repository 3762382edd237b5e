"""Keeping a model whole when its data fails under JAX."""

import keras


def hold_values(model):
    """Returns what `give_back` needs; empty on other backends.

    Keras' JAX trainer takes the values out of the variables while it runs, and loses
    them if the first batch of the data raises: the model would be unusable.
    """
    if keras.backend.backend() != "jax":
        return []
    variables = [
        *model.variables,
        *model.optimizer.variables,
        *model.metrics_variables,
    ]
    return [(variable, variable.value) for variable in variables]


def give_back(held):
    """Gives variables that have no value the one they had."""
    for variable, value in held:
        if variable._value is None:
            variable.assign(value)
