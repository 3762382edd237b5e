"""Calls that JAX compiles once, and not each operation of them alone."""

import functools

import keras


def call(layer, *inputs, may_change=False, **options):
    """What `layer(*inputs, **options)` returns.

    The layer itself does not change, unless it may.
    """
    variables = layer.trainable_variables, layer.non_trainable_variables
    if keras.backend.backend() == "jax":
        import jax

        one_program = jax.jit(functools.partial(layer.stateless_call, **options))
        values = [[variable.value for variable in some] for some in variables]
        outputs, after = one_program(*values, *inputs)
    else:
        after = [keras.ops.convert_to_numpy(v).copy() for v in variables[1]]
        outputs = layer(*inputs, **options)
    # JAX's program changes nothing by itself, the call of a layer does.
    if may_change == (keras.backend.backend() == "jax"):
        for variable, value in zip(variables[1], after, strict=True):
            variable.assign(value)
    return outputs
