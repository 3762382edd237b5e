"""How processes find out that all of them are there, before a backend connects them.

JAX ends a process with an abort, and no exception, where others do not come to its own
meeting. So they meet here first, at the address where JAX meets then.
"""

import atexit
import contextlib
import errno
import ipaddress
import os
import selectors
import socket
import sys
import time
from collections.abc import Iterator
from datetime import timedelta

_BEFORE_TRYING_AGAIN = 0.2  # seconds
# A name may have an address that never answers beside one that does.
_MOST_SECONDS_TO_CONNECT = 5
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
        _await_others(host, port, count, ends)
    else:
        _go_to_first(host, port, f"{number} of {count}\n".encode(), ends)


@contextlib.contextmanager
def torch_group(
    local_rank: int, to_meet: timedelta, afterwards: timedelta
) -> Iterator[None]:
    """Begins PyTorch's group of the processes that its environment names.

    Args:
        local_rank: Which of the host's GPUs is this process's, if there are any.
        to_meet: How long each waits for the others, and as long at most until the
            block ends.
        afterwards: How long they wait from then on.

    Raises:
        RuntimeError: If they don't meet.
    """
    import torch
    from torch import distributed

    ends = time.monotonic() + to_meet.total_seconds()
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
            # Who is there answers, even if the last came at the last moment.
            left = max(ends - time.monotonic(), 1)
            store.wait([f"process {other} {what}"], timedelta(seconds=left))
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


def _await_others(host, port, count, ends):
    waiting: dict[int, socket.socket] = {}
    with contextlib.ExitStack() as opened:
        # All are heard at once, so who says nothing keeps nobody waiting.
        selector = opened.enter_context(selectors.DefaultSelector())
        for server in _servers(host, port):
            opened.enter_context(server).setblocking(False)
            selector.register(server, selectors.EVENT_READ, (server, None))
        while True:
            missing = [str(i) for i in range(1, count) if i not in waiting]
            # Once all came, some may have gone already.
            left = ends - time.monotonic() if missing else 0
            if missing and left <= 0:
                raise RuntimeError(
                    f"Nothing was heard of process {', '.join(missing)} at port {port}."
                )
            events = selector.select(left)
            if not (missing or events):
                break
            for key, _ in events:
                connection, said = key.data
                if said is None:
                    with contextlib.suppress(BlockingIOError, ConnectionError):
                        other = opened.enter_context(connection.accept()[0])
                        other.setblocking(False)
                        data = (other, bytearray())
                        selector.register(other, selectors.EVENT_READ, data)
                    continue
                # Who waits has nothing more to say: it has gone, or is none of ours.
                waiting = {i: one for i, one in waiting.items() if one != connection}
                heard = _heard(connection)
                said.extend(heard)
                number = _who(said, count) if heard else None
                if number is not None:
                    waiting[number] = connection
                elif not heard or b"\n" in said or len(said) > _MOST_BYTES:
                    selector.unregister(connection)
                    connection.close()
        for connection in waiting.values():
            with contextlib.suppress(OSError):
                connection.sendall(_ALL_ARE_HERE)


def _servers(host, port):
    """Where it is looked for by IPv4 and by IPv6; if it can, by this machine alone."""
    try:
        if host == "localhost":
            servers = [socket.create_server(("127.0.0.1", port))]
            try:
                servers.append(_server_of_ipv6("::1", port))
            except OSError as error:
                # Else this machine has none.
                if error.errno == errno.EADDRINUSE:
                    servers[0].close()
                    raise
            return servers
        if _is_loopback(host):
            if ":" in host:
                return [_server_of_ipv6(host, port)]
            return [socket.create_server((host, port))]
        if socket.has_dualstack_ipv6():
            return [_server_of_ipv6("", port, dualstack_ipv6=True)]
        return [socket.create_server(("", port))]
    except OSError as error:
        raise RuntimeError(f"Port {port} is not free: {error.strerror}.") from error


def _server_of_ipv6(host, port, **options):
    return socket.create_server((host, port), family=socket.AF_INET6, **options)


def _is_loopback(host):
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _heard(connection):
    """What came; nothing if the connection has ended."""
    try:
        return connection.recv(_MOST_BYTES)
    except OSError:
        return b""


def _who(text, count):
    """The number that a process says is its own; None of what is no such process."""
    for number in range(1, count):
        if text == f"{number} of {count}\n".encode():
            return number
    return None


def _go_to_first(host, port, who, ends):
    fault = "it did not answer"
    while (left := ends - time.monotonic()) > 0:
        most = min(left, _MOST_SECONDS_TO_CONNECT)
        try:
            with socket.create_connection((host, port), timeout=most) as connection:
                connection.sendall(who)
                if _line(connection, ends) == _ALL_ARE_HERE:
                    return
            fault = "it was there, but not all others came"
        except OSError as error:
            fault = error.strerror or str(error)
        time.sleep(_BEFORE_TRYING_AGAIN)
    raise RuntimeError(f"Process 0 was sought at {host}, port {port}: {fault}.")


def _line(connection, ends):
    """What comes up to the end of a line, of the connection or of the time."""
    text = b""
    while (left := ends - time.monotonic()) > 0:
        connection.settimeout(left)
        heard = _heard(connection)
        text += heard
        if not heard or b"\n" in heard or len(text) > _MOST_BYTES:
            break
    return text
