"""Processes, here threads, know when all of them are there, or say who is not."""

import contextlib
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from keras_rlr.meeting import come_together

pytestmark = pytest.mark.backend_independent


@pytest.fixture
def address():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{free.getsockname()[1]}"


def connected(address):
    host, _, port = address.rpartition(":")
    for _ in range(1000):
        with contextlib.suppress(ConnectionRefusedError):
            return socket.create_connection((host.strip("[]"), int(port)))
        time.sleep(0.05)
    raise AssertionError(f"nobody listens at {address}")


def test_all_go_on_once_the_last_has_come(address):
    with ThreadPoolExecutor() as pool:
        early = [pool.submit(come_together, address, i, 3, 60) for i in (2, 0)]
        # What is none of them is not counted, whatever it says.
        for words in (b"GET / HTTP/1.1\r\n", b"3 of 3\n", b"1 of 2\n", b""):
            with connected(address) as other:
                other.sendall(words)
        assert not any(one.done() for one in early)
        come_together(address, 1, 3, 60)
        assert [one.result(60) for one in early] == [None, None]
    # And the port is free for what meets there next.
    with socket.create_server(("127.0.0.1", int(address.split(":")[1]))):
        pass


def test_one_that_has_gone_does_not_count(address):
    with ThreadPoolExecutor() as pool:
        first = pool.submit(come_together, address, 0, 3, 3)
        with connected(address) as gone:
            gone.sendall(b"1 of 3\n")
        last = pool.submit(come_together, address, 2, 3, 4)
        with pytest.raises(RuntimeError, match="Nothing was heard of process 1 at"):
            first.result(60)
        with pytest.raises(RuntimeError, match="Process 0 was sought at 127.0.0.1"):
            last.result(60)


def test_who_speaks_slowly_keeps_nobody_waiting(address):
    with ThreadPoolExecutor() as pool:
        first = pool.submit(come_together, address, 0, 2, 60)
        with connected(address) as slow:
            slow.sendall(b"1 of")
            come_together(address, 1, 2, 60)
            first.result(60)
            # It was let go without having been waited for.
            assert slow.recv(1) == b""


def test_the_time_allowed_is_that_of_all_bytes(address):
    host, port = address.split(":")
    with (
        ThreadPoolExecutor() as pool,
        socket.create_server((host, int(port))) as server,
    ):
        other = pool.submit(come_together, address, 1, 2, 1)
        connection, _ = server.accept()
        with connection, contextlib.suppress(ConnectionError):
            for _ in range(60):
                if other.done():
                    break
                connection.sendall(b"a")
                time.sleep(0.3)
            else:
                raise AssertionError("it was waiting for each byte anew")
        with pytest.raises(RuntimeError, match="not all others came"):
            other.result(60)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_at_a_loopback_address_it_is_found_there_alone(address, host):
    port = address.split(":")[1]
    if host == "[::1]":
        try:
            socket.create_server(("::1", 0), family=socket.AF_INET6).close()
        except OSError:
            pytest.skip("has no IPv6")
    with ThreadPoolExecutor() as pool:
        first = pool.submit(come_together, f"{host}:{port}", 0, 2, 60)
        connected(address if host != "[::1]" else f"{host}:{port}").close()
        # On Linux of this machine too, but another address.
        with pytest.raises(OSError, match=r".+"):
            socket.create_connection(("127.0.0.2", int(port)), timeout=5)
        come_together(f"{host}:{port}", 1, 2, 60)
        assert first.result(60) is None


def test_what_can_not_be_met_at_is_said(address):
    host, port = address.split(":")
    refused = pytest.raises(RuntimeError, match=f"Port {port} is not free")
    with socket.create_server(("", int(port))), refused:
        come_together(address, 0, 2, 1)
    for wrong in (host, f":{port}", f"{host}:", f"{host}:0", f"{host}:x"):
        with pytest.raises(ValueError, match="must be HOST:PORT"):
            come_together(wrong, 0, 2, 1)
    with pytest.raises(RuntimeError, match="sought at ::1"):
        come_together(f"[::1]:{port}", 1, 2, 1)
