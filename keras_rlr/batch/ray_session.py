"""Ray, started on this machine, joined elsewhere, or as it is."""

import contextlib
import logging
import math
import os
import signal
import threading
import warnings
from collections.abc import Iterator
from typing import Any

from keras_rlr.keras_import import OWN_PROCESS

_MEMORY_OF_A_WORKER = 2 * 2**30
_CPUS_OF_A_WORKER = 2
_MOST_CPUS = 8


def import_ray() -> Any:
    """Imports Ray Data, which counts no uses unless the user has said that it may.

    Raises:
        ImportError: If it is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import pyarrow  # noqa: F401
        import ray
        import ray.data
    except ImportError as error:
        raise ImportError(
            f"Scoring with Ray needs packages that are not installed ({error}). "
            "Install them with `pip install 'keras-rlr[batch]'`."
        ) from error
    return ray


@contextlib.contextmanager
def ray_session(address: str | None, bytes_to_share: int) -> Iterator[Any]:
    """Ray, for as long as it takes.

    Ray that runs in this process already is used as it is, and left running.

    Args:
        address: Of a cluster: `auto`, `HOST:PORT` or `ray://HOST:PORT`; None for this
            machine alone.
        bytes_to_share: Size of what Ray hands to the workers.

    Raises:
        ConnectionError: If there is no cluster at the address.
    """
    ray = import_ray()
    if ray.is_initialized():
        yield ray
        return
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    with _kept_signal_handlers():
        _start(ray, address, bytes_to_share)
    try:
        yield ray
    finally:
        ray.shutdown()


def _start(ray: Any, address: str | None, bytes_to_share: int) -> None:
    quiet = {"log_to_driver": False, "logging_level": "ERROR"}
    if address is None:
        # Ray's core says of every pool of workers that its arguments may be lost.
        os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
        # It would give way to every other process, and be slower than `predict`.
        os.environ.setdefault("RAY_worker_niceness", "0")
        # For its workers, which get these variables.
        os.environ[OWN_PROCESS] = "1"
        try:
            ray.init(
                address="local",
                include_dashboard=False,
                object_store_memory=128 * 2**20 + 2 * bytes_to_share,
                # Only this machine can reach it.
                _node_ip_address="127.0.0.1",
                **quiet,
            )
        finally:
            del os.environ[OWN_PROCESS]
        return
    import keras

    backend = keras.backend.backend()
    try:
        environment = {"env_vars": {"KERAS_BACKEND": backend, OWN_PROCESS: "1"}}
        ray.init(address=address, runtime_env=environment, **quiet)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise ConnectionError(
            f"There is no Ray cluster at '{address}' ({error}). Give the address that "
            "`ray start --head` printed, or none to work on this machine alone."
        ) from error


@contextlib.contextmanager
def _kept_signal_handlers() -> Iterator[None]:
    """Ray takes SIGTERM for itself; whoever guards it before is to go on."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def worker_resources(ray: Any, workers: int | None, parts: int) -> dict[str, Any]:
    """How many workers there are, and what each takes.

    One a GPU, or where there are none one for two CPUs; no more than the memory is
    enough for, or than there are parts. A worker is on one machine: Ray would wait
    without end for one that has what only several have together.

    Args:
        ray: Ray, running.
        workers: The number that the user wants, or None.
        parts: Number of parts to be scored.

    Returns:
        Dict of `workers`, `cpus` and `gpus`, of each worker.
    """
    machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    cpus_of = [int(machine.get("CPU", 0)) for machine in machines]
    cpus = sum(cpus_of)
    gpus = sum(int(machine.get("GPU", 0)) for machine in machines)
    if workers is None:
        memory = sum(
            int(machine.get("memory", 0)) // _MEMORY_OF_A_WORKER for machine in machines
        )
        two_each = sum(there // _CPUS_OF_A_WORKER for there in cpus_of)
        workers = gpus or max(1, min(two_each, memory))
    elif workers > cpus:
        warnings.warn(
            f"Ray has {cpus} CPUs, so there are {cpus} workers and not {workers}.",
            stacklevel=2,
        )
    workers = max(1, min(workers, parts, cpus))
    # As many on each GPU, so that all are there.
    of_each = 1 / math.ceil(workers / gpus) if gpus else 0.0
    shares = (
        share
        for share in range(_MOST_CPUS, 0, -1)
        if sum(there // share for there in cpus_of) >= workers
    )
    cpus_of_each = 1 if gpus else next(shares, 1)
    return {"workers": workers, "cpus": cpus_of_each, "gpus": of_each}
