"""Calls that JAX compiles once, and not each operation of them alone."""

import functools

import keras


def call(layer, *inputs, **options):
    """What `layer(*inputs, **options)` returns; the layer itself does not change."""
    variables = layer.trainable_variables, layer.non_trainable_variables
    if keras.backend.backend() == "jax":
        import jax

        one_program = jax.jit(functools.partial(layer.stateless_call, **options))
        values = [[variable.value for variable in some] for some in variables]
        outputs, _ = one_program(*values, *inputs)
        return outputs
    before = [keras.ops.convert_to_numpy(v).copy() for v in variables[1]]
    outputs = layer(*inputs, **options)
    for variable, value in zip(variables[1], before, strict=True):
        variable.assign(value)
    return outputs
