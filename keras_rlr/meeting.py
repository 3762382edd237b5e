"""How processes find out that all of them are there, before a backend connects them.

JAX ends a process with an abort, and no exception, where others do not come to its own
meeting. So they meet here first, at the address where JAX meets then.
"""

import atexit
import contextlib
import os
import select
import socket
import sys
import time
from collections.abc import Iterator
from datetime import timedelta

_BEFORE_TRYING_AGAIN = 0.2  # seconds
# Who connects and says nothing is none of ours, and must not keep them waiting.
_MOST_SECONDS_TO_SAY_WHO = 5
_MOST_BYTES = 64
_ALL_ARE_HERE = b"all are here\n"


def come_together(address: str, number: int, count: int, seconds: float) -> None:
    """Returns in each process once all have called this.

    Who is lost while it waits may come again; who is lost afterwards is not noticed.

    Args:
        address: "host:port" of the first process, whose port has to be free there.
        number: Which of the processes this is, from 0.
        count: How many there are.
        seconds: How long each waits for the others.

    Raises:
        RuntimeError: If they don't come in time, or the port is not free.
        ValueError: If that is no address.
    """
    host, port = _host_and_port(address)
    ends = time.monotonic() + seconds
    if number == 0:
        _await_others(port, count, ends)
    else:
        _go_to_first(host, port, f"{number} of {count}\n".encode(), ends)


@contextlib.contextmanager
def torch_group(
    local_rank: int, to_meet: timedelta, afterwards: timedelta
) -> Iterator[None]:
    """Begins PyTorch's group of the processes that its environment names.

    Args:
        local_rank: Which of the host's GPUs is this process's, if there are any.
        to_meet: How long each waits for the others until the block ends.
        afterwards: How long they wait from then on.

    Raises:
        RuntimeError: If they don't meet.
    """
    import torch
    from torch import distributed

    backend = "gloo"
    if torch.cuda.is_available():
        torch.cuda.set_device(local_rank)
        backend = "cpu:gloo,cuda:nccl"
    store, number, count = next(distributed.rendezvous("env://", timeout=to_meet))
    store = distributed.PrefixStore("keras_rlr", store)
    # Who still answers once all came was not killed meanwhile; gloo would seek one that
    # was several times as long.
    for what in ("came", "is here"):
        store.set(f"process {number} {what}", "")
        for other in range(count):
            store.wait([f"process {other} {what}"], to_meet)
    # PyTorch of before keeps the time that a group begins with.
    changes = hasattr(distributed.ProcessGroup, "set_timeout")
    distributed.init_process_group(
        backend,
        timeout=to_meet if changes else afterwards,
        store=store,
        rank=number,
        world_size=count,
    )
    # Else its threads may still run when the process ends, which then aborts.
    atexit.register(_part_torch)
    yield
    store.set_timeout(afterwards)
    group = distributed.group.WORLD
    if changes and group is not None:
        group.set_timeout(afterwards)


def _part_torch():
    from torch import distributed

    if distributed.is_initialized():
        distributed.destroy_process_group()


@contextlib.contextmanager
def output_to_error() -> Iterator[None]:
    """Gloo says on standard output, past Python, to whom it is connected."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def _host_and_port(address):
    host, _, port = address.strip().rpartition(":")
    if not (host and port.isdecimal() and 0 < int(port) < 2**16):
        raise ValueError(
            f"The first process's address must be HOST:PORT. Received: {address!r}."
        )
    return host.strip("[]"), int(port)


def _await_others(port, count, ends):
    waiting: dict[int, socket.socket] = {}
    with contextlib.ExitStack() as opened:
        server = opened.enter_context(_server(port))
        while len(waiting) < count - 1:
            server.settimeout(max(ends - time.monotonic(), 0.001))
            try:
                connection, _ = server.accept()
            except TimeoutError:
                missing = [str(i) for i in range(1, count) if i not in waiting]
                raise RuntimeError(
                    f"Nothing was heard of process {', '.join(missing)} at port {port}."
                ) from None
            opened.enter_context(connection)
            number = _who(connection, count, ends)
            if number is not None:
                waiting[number] = connection
            for lost in _lost(waiting):
                del waiting[lost]
        for connection in waiting.values():
            with contextlib.suppress(OSError):
                connection.sendall(_ALL_ARE_HERE)


def _server(port):
    """Where it is looked for by IPv4 and by IPv6."""
    try:
        if socket.has_dualstack_ipv6():
            return socket.create_server(
                ("", port), family=socket.AF_INET6, dualstack_ipv6=True
            )
        return socket.create_server(("", port))
    except OSError as error:
        raise RuntimeError(f"Port {port} is not free: {error.strerror}.") from error


def _who(connection, count, ends):
    """The number that a process says is its own; None of what is no such process."""
    most = min(ends - time.monotonic(), _MOST_SECONDS_TO_SAY_WHO)
    text = b"".join(_received(connection, max(most, 0.001)))
    for number in range(1, count):
        if text == f"{number} of {count}\n".encode():
            return number
    return None


def _lost(waiting):
    """Numbers of those whose connections have ended: they have nothing to say."""
    ended, _, _ = select.select(waiting.values(), (), (), 0)
    return [number for number, other in waiting.items() if other in ended]


def _go_to_first(host, port, who, ends):
    fault = "it did not answer"
    while (left := ends - time.monotonic()) > 0:
        try:
            with socket.create_connection((host, port), timeout=left) as connection:
                connection.sendall(who)
                left = max(ends - time.monotonic(), 0.001)
                if b"".join(_received(connection, left)) == _ALL_ARE_HERE:
                    return
            fault = "it was there, but not all others came"
        except OSError as error:
            fault = error.strerror or str(error)
        time.sleep(_BEFORE_TRYING_AGAIN)
    raise RuntimeError(f"Process 0 was sought at {host}, port {port}: {fault}.")


def _received(connection, seconds) -> Iterator[bytes]:
    """What comes up to the end of a line, of the connection or of the time."""
    connection.settimeout(seconds)
    for _ in range(_MOST_BYTES):
        try:
            byte = connection.recv(1)
        except OSError:
            return
        yield byte
        if byte in (b"", b"\n"):
            return
