"""Processes that train one model together: who they are, and what they tell each other.

Under JAX those of `keras.distribution.initialize`, whose devices compute as one; under
PyTorch those of `torch.distributed`, each with a model of its own and the mean of all
gradients. All of them read the same data and do the same; the first alone writes.
"""

import contextlib
import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import keras
import numpy as np

from keras_rlr.meeting import come_together, output_to_error, torch_group

_OF_KERAS = "KERAS_DISTRIBUTION_"
# JAX's own, and plenty for the slowest imports. Who is not there by then does not come.
_TIME_TO_MEET = "KERAS_RLR_INITIALIZATION_TIMEOUT"
_SECONDS_TO_MEET = 300
# Once they have met, one process may hash or describe a million images before the
# others hear of it. One that ends is noticed at once, by its connection.
_PATIENCE = timedelta(hours=12)
# What PyTorch and JAX say where a process no longer answers.
_WORDS_OF_A_LOSS = (
    "gloo",
    "nccl",
    "connection reset",
    "connection closed",
    "broken pipe",
    "coordination",
    "distributed service",
    "heartbeat",
    "processgroup",
    "deadline_exceeded",
)


def expected() -> int:
    """Returns how many processes the environment says train together; 1 if none.

    Raises:
        ValueError: If the variables are not those of the backend, or not complete.
    """
    backend = keras.backend.backend()
    of_keras = _number(f"{_OF_KERAS}NUM_PROCESSES", 1)
    of_torchrun = _number("WORLD_SIZE", 1)
    if backend == "jax" and of_keras > 1:
        _check_variables(
            of_keras, f"{_OF_KERAS}PROCESS_ID", f"{_OF_KERAS}JOB_ADDRESSES"
        )
        return of_keras
    if backend == "torch" and of_torchrun > 1:
        _check_variables(of_torchrun, "RANK", "MASTER_ADDR", "MASTER_PORT")
        return of_torchrun
    if backend == "tensorflow" and (of_keras > 1 or _workers_of_tensorflow() > 1):
        raise ValueError(
            "Several processes can't train together on TensorFlow: there one process "
            "uses the devices of one machine (--distribution N). For several processes "
            "use JAX with Keras' KERAS_DISTRIBUTION_* variables, or PyTorch with "
            "torchrun."
        )
    if of_keras > 1:
        raise ValueError(
            f"{_OF_KERAS}NUM_PROCESSES is {of_keras}, but the backend is {backend}, "
            "which takes its processes from torchrun: start `torchrun "
            "--nproc-per-node N --no-python keras-rlr train …`, or set "
            "KERAS_BACKEND=jax."
        )
    if of_torchrun > 1 and "TORCHELASTIC_RUN_ID" in os.environ:
        raise ValueError(
            f"torchrun started {of_torchrun} processes, but the backend is {backend}. "
            "Set KERAS_BACKEND=torch; on JAX set Keras' KERAS_DISTRIBUTION_* variables "
            "in each process instead."
        )
    return 1


def join(initialization_timeout: int | None = None) -> None:
    """Meets the processes that the environment names, if it names any.

    To be called before the backend computes anything. Who has called
    `keras.distribution.initialize` or `torch.distributed.init_process_group` already
    need not.

    Args:
        initialization_timeout: Seconds in which all have to come; None for those of
            the variable `KERAS_RLR_INITIALIZATION_TIMEOUT`, or 300.

    Raises:
        ValueError: See `expected`.
        ConnectionError: If they don't meet.
    """
    if expected() == 1 or count() > 1:
        return
    seconds = initialization_timeout
    if seconds is None:
        seconds = _number(_TIME_TO_MEET, _SECONDS_TO_MEET)
    if seconds < 1:
        raise ValueError(
            f"Processes need at least 1 second to meet. Received: {seconds} "
            f"({_TIME_TO_MEET})."
        )
    try:
        with output_to_error():
            if keras.backend.backend() == "jax":
                _join_jax(seconds)
            else:
                _join_torch(seconds)
    except RuntimeError as error:
        raise ConnectionError(
            f"The {expected()} processes that are to train together did not meet: "
            f"{_first_line(error).rstrip('.')}. Check that all were started, that the "
            "first one's address and port can be reached, and that no other job uses "
            f"the port. They wait {seconds} seconds for each other; {_TIME_TO_MEET} "
            "sets another number."
        ) from error


def _join_jax(seconds):
    import jax

    # The newest versions' default; others can't compute together on CPUs.
    name = "jax_cpu_collectives_implementation"
    if getattr(jax.config, name, "gloo") in (None, "none"):
        jax.config.update(name, "gloo")
    first = os.environ[f"{_OF_KERAS}JOB_ADDRESSES"].split(",")[0]
    come_together(first, _number(f"{_OF_KERAS}PROCESS_ID", 0), expected(), seconds)
    keras.distribution.initialize()
    wait()


def _join_torch(seconds):
    local = _number("LOCAL_RANK", 0)
    with torch_group(local, timedelta(seconds=seconds), _PATIENCE):
        wait()


def count() -> int:
    """Number of processes that train together; 1 where there are no others."""
    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        # Asked first: the other starts the backend's devices.
        return jax.process_count() if jax.distributed.is_initialized() else 1
    if backend == "torch":
        import torch

        group = torch.distributed
        if group.is_available() and group.is_initialized():
            return group.get_world_size()
    return 1


def rank() -> int:
    """The number of this process among them, from 0."""
    if count() == 1:
        return 0
    if keras.backend.backend() == "jax":
        import jax

        return jax.process_index()
    import torch

    return torch.distributed.get_rank()


def shard() -> tuple[int, int]:
    """(number of this process, number of all): which part of each batch is its own."""
    return rank(), count()


def is_writer() -> bool:
    """Whether this process is the one that writes files and speaks to the user."""
    return rank() == 0


def average_gradients() -> bool:
    """Whether each process has a model of its own, so that gradients are averaged."""
    return keras.backend.backend() == "torch" and count() > 1


def gather(value: Any) -> list[Any]:
    """Returns what each process gave, in their order; all have to call it.

    Args:
        value: What JSON holds.
    """
    if count() == 1:
        return [value]
    text = json.dumps(value).encode()
    if keras.backend.backend() == "torch":
        import torch

        texts: list[Any] = [None] * count()
        torch.distributed.all_gather_object(texts, text)
        return [json.loads(text) for text in texts]
    from jax.experimental import multihost_utils

    sizes = multihost_utils.process_allgather(np.array([len(text)]))[:, 0]
    row = np.zeros(sizes.max(), "uint8")
    row[: len(text)] = np.frombuffer(text, "uint8")
    rows = multihost_utils.process_allgather(row)
    return [
        json.loads(bytes(np.asarray(row[:size])))
        for row, size in zip(rows, sizes, strict=True)
    ]


def wait() -> None:
    """Returns once all processes have come to here."""
    gather(None)


def agreed(function: Callable[[], Any]) -> Any:
    """Returns what a function returns here, if it succeeds in every process.

    Args:
        function: Without arguments.

    Raises:
        ValueError: In a process where it succeeded, if it failed in another.
    """
    if count() == 1:
        return function()
    result, error = None, None
    try:
        result = function()
    except Exception as raised:
        error = raised
    failures = gather(None if error is None else _first_line(error))
    if error is not None:
        raise error
    for number, failure in enumerate(failures):
        if failure is not None:
            raise ValueError(f"Process {number} could not begin: {failure}")
    return result


def told(function: Callable[[], Any]) -> Any:
    """Returns in every process what a function returns in the first one.

    Args:
        function: Without arguments; its result is what JSON holds.

    Raises:
        ValueError: In the others, if it failed in the first.
    """
    if count() == 1:
        return function()
    result = agreed(lambda: function() if is_writer() else None)
    return gather(result)[0]


def check_same(what: str, value: Any) -> None:
    """Refuses processes that are to train on different things.

    Args:
        what: What the value is, for the message: "images".
        value: What JSON holds.

    Raises:
        ValueError: Naming the processes that differ from the first.
    """
    text = json.dumps(value, sort_keys=True, default=str)
    digests = gather(hashlib.sha256(text.encode()).hexdigest())
    others = [str(i) for i, digest in enumerate(digests) if digest != digests[0]]
    if others:
        raise ValueError(
            f"The processes do not have the same {what}: process 0 has others than "
            f"{', '.join(others)}. Start the same command in each, on the same data."
        )


def first_of(value: Any) -> Any:
    """Returns the first value of all processes that is not None, or None."""
    return next((other for other in gather(value) if other is not None), None)


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Lets one process make Keras objects without the others, to save a model.

    Under JAX a variable is on the devices of all processes, which all have to make it.
    """
    surrounding = None
    if count() > 1 and keras.backend.backend() == "jax":
        surrounding = keras.distribution.distribution()
    if surrounding is None:
        yield
        return
    keras.distribution.set_distribution(None)
    try:
        yield
    finally:
        keras.distribution.set_distribution(surrounding)


def leave(code: int) -> None:
    """Ends this process at once, if it is one of several and its work has failed.

    JAX would wait minutes at the end for the others, who wait for this one.

    Args:
        code: The exit code.
    """
    if count() > 1:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


@contextlib.contextmanager
def noticing_losses() -> Iterator[None]:
    """Says in a sentence that another process has ended, where it is waited for.

    Raises:
        ConnectionError: In place of what the backend raised.
    """
    try:
        yield
    except (RuntimeError, ValueError) as error:  # JAX raises either.
        text = str(error).lower()
        if count() == 1 or not any(words in text for words in _WORDS_OF_A_LOSS):
            raise
        raise ConnectionError(
            "Another process of this training has ended or can't be reached: see what "
            "it said. Start all of them again, with --resume if there is a checkpoint."
        ) from error


def _number(name, default):
    text = os.environ.get(name, "").strip()
    if not text:
        return default
    if not text.isdigit():
        raise ValueError(f"{name} must be a whole number. Received: {text!r}.")
    return int(text)


def _check_variables(processes, number, *addresses):
    missing = [name for name in (number, *addresses) if not os.environ.get(name)]
    if missing:
        raise ValueError(
            f"{processes} processes are to train together, but {', '.join(missing)} is "
            "not set. Set it in each process, as docs/devices.md shows."
        )
    if _number(number, 0) >= processes:
        raise ValueError(
            f"{number} counts from 0 to {processes - 1} for {processes} processes. "
            f"Received: {os.environ[number]}."
        )


def _workers_of_tensorflow():
    try:
        cluster = json.loads(os.environ.get("TF_CONFIG") or "{}").get("cluster", {})
        return len(cluster.get("worker", [])) + len(cluster.get("chief", []))
    except (AttributeError, TypeError, ValueError):
        return 1


def _first_line(error):
    return (str(error).strip() or type(error).__name__).splitlines()[0]
