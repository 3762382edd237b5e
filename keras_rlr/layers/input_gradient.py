"""The gradient of a function with respect to its input, as part of a model's call."""

from collections.abc import Callable
from typing import Any

import keras


def value_and_input_gradient(
    function: Callable[[Any], Any], inputs: Any, has_aux: bool = False
) -> tuple[Any, ...]:
    """Returns the values of a function, and the gradient of their sum.

    Works where a model is called: eagerly, in the compiled function of `predict`, with
    symbolic tensors, and where the surroundings switch gradients off. The results
    can't be differentiated again on PyTorch.

    Args:
        function: Takes a tensor and returns one, (batch,). If no row depends on
            another, the gradient of each is that of its own value.
        inputs: Floating-point tensor (batch, ...).
        has_aux: Whether the function returns a pair: that tensor, and another one that
            no gradient is taken of.

    Returns:
        The values, (batch,), and the gradient, of the shape of `inputs`; with
        `has_aux` the other tensor after them.
    """
    if not has_aux:
        return _with_aux(lambda x: (function(x), None), inputs)[:2]
    return _with_aux(function, inputs)


def _with_aux(function: Callable[[Any], Any], inputs: Any) -> tuple[Any, Any, Any]:
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(inputs)
            values, aux = function(inputs)
        return values, tape.gradient(values, inputs), aux
    if keras.backend.backend() == "jax":
        import jax

        values, pull_back, aux = jax.vjp(function, inputs, has_aux=True)
        (gradient,) = pull_back(jax.numpy.ones_like(values))
        return values, gradient, aux
    import torch

    # Keras predicts without gradients, and others in `torch.inference_mode()`.
    with torch.inference_mode(False), torch.enable_grad():
        # A tensor of that mode never has a gradient, but its copy has.
        inputs = inputs.detach().clone().requires_grad_(True)
        values, aux = function(inputs)
        (gradient,) = torch.autograd.grad(values.sum(), inputs)
    return values.detach(), gradient, None if aux is None else aux.detach()
