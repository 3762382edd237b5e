"""Keeping a model whole when its data fails under JAX."""

import keras

from keras_rlr.keras_private import drop_jax_state, has_lost_value


def values_to_restore(model):
    """Returns what `restore_values` needs; empty on other backends.

    Keras' JAX trainer takes the values out of the variables while it runs, and leaves
    them out if the data raises or the user interrupts: the model would be unusable.
    """
    if keras.backend.backend() != "jax":
        return []
    variables = [
        *model.variables,
        *model.optimizer.variables,
        *model.metrics_variables,
    ]
    return [(variable, variable.value) for variable in variables]


def restore_values(model, held):
    """Gives variables their newest values, or where there are none those they had."""
    if held:
        # Steps that were taken have given away the values that were held.
        model.jax_state_sync()
        drop_jax_state(model)
    for variable, value in held:
        if has_lost_value(variable):
            variable.assign(value)
