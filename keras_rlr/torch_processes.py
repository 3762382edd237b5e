"""What processes of PyTorch tell each other of tensors; each has a model of its own."""

from typing import Any

import numpy as np

from keras_rlr.processes import average_gradients, count


def join_rows(values: np.ndarray, batches: int) -> np.ndarray:
    """Returns the rows of whole batches, of which each process has computed its part.

    Args:
        values: Array (rows, …) of this process: as many of each batch.
        batches: Number of batches.
    """
    if not average_gradients():
        return values  # Under JAX they are whole.
    import torch

    rows = torch.as_tensor(np.ascontiguousarray(values))
    parts = np.stack([part.numpy() for part in _all_of(rows)])
    shape = values.shape[1:]
    parts = parts.reshape(count(), batches, -1, *shape)
    return np.moveaxis(parts, 0, 1).reshape(-1, *shape)


def whole(values: Any) -> Any:
    """Returns a tensor's rows of all processes, without gradient if there are others.

    Args:
        values: Tensor (rows, …), or None.
    """
    if values is None or not average_gradients():
        return values
    import torch

    return torch.cat(_all_of(values.detach()))


def mean_of_all(values: Any) -> Any:
    """Returns the mean of a tensor over the processes, with its gradient.

    Args:
        values: PyTorch tensor.
    """
    import torch.distributed.nn.functional as functional

    return functional.all_reduce(values) / count()


def average(gradients: list[Any]) -> None:
    """Replaces gradients by their mean over the processes.

    Args:
        gradients: PyTorch tensors; None where a variable has none, in every process.
    """
    import torch

    there = [gradient for gradient in gradients if gradient is not None]
    # As one message of each dtype.
    for dtype in sorted({gradient.dtype for gradient in there}, key=str):
        some = [gradient for gradient in there if gradient.dtype == dtype]
        flat = torch.cat([gradient.reshape(-1) for gradient in some])
        torch.distributed.all_reduce(flat)
        flat /= count()
        parts = flat.split([gradient.numel() for gradient in some])
        for gradient, part in zip(some, parts, strict=True):
            gradient.copy_(part.view_as(gradient))


def copy_first(variables: list[Any]) -> None:
    """Gives variables the values of the first process, where each has its own.

    Args:
        variables: Keras variables.
    """
    if not average_gradients():
        return
    import torch

    for variable in variables:
        value = torch.as_tensor(variable.value).detach().clone()
        torch.distributed.broadcast(value, 0)
        variable.assign(value)


def _all_of(tensor):
    import torch

    parts = [torch.empty_like(tensor) for _ in range(count())]
    torch.distributed.all_gather(parts, tensor.contiguous())
    return parts
