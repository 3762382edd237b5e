"""What the page's server answers to requests that no browser would send."""

import http.client
import json
import urllib.parse

import pytest

from keras_rlr.app import build_page, serve_page
from tests.hostile.image_kinds import PNG
from tests.hostile.outcome import bounded
from tests.tiny_model import ONE_LEVEL, random_images, tiny_model

pytestmark = pytest.mark.backend_independent


@pytest.fixture(scope="module")
def place():
    """Host and port of a page that is served."""
    model = tiny_model(**ONE_LEVEL)
    model.calibrate(random_images(20), false_positive_rate=0.1)
    page = build_page(model)
    yield urllib.parse.urlparse(serve_page(page)).netloc
    page.close(verbose=False)


def ask(place, method, path, body=None, **headers):
    """Status and text of the answer; None where the server hung up."""
    connection = http.client.HTTPConnection(place, timeout=20)
    words = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        connection.putrequest(method, path, skip_accept_encoding=True)
        if body is not None and "Content-Length" not in words:
            words["Content-Length"] = str(len(body))
        for name, value in words.items():
            connection.putheader(name, value)
        connection.endheaders()
        if body:
            connection.send(body)
        answer = connection.getresponse()
        return answer.status, answer.read().decode("utf-8", "replace")
    except (http.client.HTTPException, ConnectionError):
        return None, ""
    finally:
        connection.close()


UPLOAD = "/gradio_api/upload"
JOIN = "/gradio_api/queue/join"
FORM = "multipart/form-data; boundary=b"


def part(name, filename, content):
    head = (
        f'--b\r\nContent-Disposition: form-data; name="{name}"; filename="{filename}"'
    )
    return head.encode("utf-8", "surrogateescape") + b"\r\n\r\n" + content + b"\r\n"


GET_PATHS = [
    "/../../../../etc/passwd",
    "/..%2f..%2f..%2fetc/passwd",
    "/static/../../../../../etc/passwd",
    "/static/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
    "/assets/..%5c..%5cetc/passwd",
    "/gradio_api/file=/etc/passwd",
    "/gradio_api/file=../../../../etc/passwd",
    "/gradio_api/file=//etc/passwd",
    "/gradio_api/file=%00/etc/passwd",
    "/gradio_api/file=file:///etc/passwd",
    "/gradio_api/file=http://127.0.0.1:9/x",
    "/gradio_api/file=" + "x" * 3000,
    "/gradio_api/file=/proc/self/environ",
    "/gradio_api/file=/dev/zero",
    "/gradio_api/proxy=http://127.0.0.1:9/x",
    "/gradio_api/custom_component/../../x",
    "/gradio_api/stream/x/y/z/playlist.m3u8",
    "/theme.css?v=%00",
    "/?__theme=<script>alert(1)</script>",
    "/nothing",
    "/%ff%fe",
    "/" + "x" * 20_000,
]


@pytest.mark.parametrize("path", GET_PATHS, ids=lambda path: path[:40])
def test_paths(path, place):
    with bounded():
        status, text = ask(place, "GET", path)
    harmless(status, text)
    assert status != 200 or path.startswith(("/?", "/theme"))


_FILE = {"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}
POSTS = {
    "no body": (UPLOAD, b"", {"Content_Type": FORM}),
    "no type": (UPLOAD, b"x", {}),
    "no boundary": (UPLOAD, b"x", {"Content_Type": "multipart/form-data"}),
    "boundary never comes": (UPLOAD, b"x" * 9999, {"Content_Type": FORM}),
    "form that does not end": (
        *(UPLOAD, part("files", "a.png", PNG)),
        {"Content_Type": FORM},
    ),
    "no file": (UPLOAD, b"--b--\r\n", {"Content_Type": FORM}),
    "no disposition": (UPLOAD, b"--b\r\n\r\nx\r\n--b--\r\n", {"Content_Type": FORM}),
    "name above": (
        UPLOAD,
        part("files", "../../../../tmp/keras_rlr_escaped.png", PNG) + b"--b--\r\n",
        {"Content_Type": FORM},
    ),
    "name long": (
        UPLOAD,
        part("files", "x" * 5000 + ".png", PNG) + b"--b--\r\n",
        {"Content_Type": FORM},
    ),
    "name with codes": (
        UPLOAD,
        part("files", "\x1b[31m<b>\udcff.png", PNG) + b"--b--\r\n",
        {"Content_Type": FORM},
    ),
    "many headers of a part": (
        UPLOAD,
        b"--b\r\n" + b"A: b\r\n" * 5000 + b"\r\nx\r\n--b--\r\n",
        {"Content_Type": FORM},
    ),
    "length that lies": (
        UPLOAD,
        part("files", "a.png", PNG) + b"--b--\r\n",
        {"Content_Type": FORM, "Content_Length": "10"},
    ),
    "length that is no number": (
        *(UPLOAD, b"x"),
        {"Content_Type": FORM, "Content_Length": "-1"},
    ),
    "chunks that are none": (
        *(UPLOAD, b"zz\r\nx\r\n"),
        {"Content_Type": FORM, "Transfer_Encoding": "chunked", "Content_Length": "7"},
    ),
    "no JSON": (JOIN, b"{", {"Content_Type": "application/json"}),
    "nested deeply": (JOIN, b"[" * 100_000, {"Content_Type": "application/json"}),
    "null": (JOIN, b"null", {"Content_Type": "application/json"}),
    "no such function": (
        JOIN,
        json.dumps({"data": [], "fn_index": 10**9, "session_hash": "a"}).encode(),
        {"Content_Type": "application/json"},
    ),
    "a server's file as an image": (
        JOIN,
        json.dumps(
            {
                "data": [
                    [{"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}]
                ],
                "fn_index": 0,
                "session_hash": "b",
            }
        ).encode(),
        {"Content_Type": "application/json"},
    ),
    "index 0, no data": (
        JOIN,
        json.dumps({"data": None, "fn_index": 0, "session_hash": "c"}).encode(),
        {"Content_Type": "application/json"},
    ),
    "call without a session": ("/gradio_api/run/predict", b"{}", {}),
    "call of nothing": ("/gradio_api/call/nothing", b"{}", {}),
    "reset": ("/gradio_api/reset", b"{}", {"Content_Type": "application/json"}),
    "the page": ("/", b"x" * 10_000, {}),
}


@pytest.mark.parametrize("kind", POSTS)
def test_bodies(kind, place):
    path, body, headers = POSTS[kind]
    with bounded():
        status, text = ask(place, "POST", path, body, **headers)
    harmless(status, text)
    from pathlib import Path

    assert not Path("/tmp/keras_rlr_escaped.png").exists()


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "TRACE", "OPTIONS", "X"])
def test_methods(method, place):
    with bounded():
        for path in ("/", UPLOAD, JOIN):
            status, text = ask(place, method, path)
            harmless(status, text)
            assert status != 200


def test_files_that_are_too_large_are_refused(place):
    content = part("files", "a.png", bytes(106_000_000)) + b"--b--\r\n"
    with bounded():
        status, _ = ask(place, "POST", UPLOAD, content, Content_Type=FORM)
    assert status in (None, 413)


def harmless(status, text):
    """No fault of the server's own, and none of its secrets."""
    assert status is None or status < 600
    for secret in ("root:x:0", "Traceback", "PATH=/"):
        assert secret not in text, text[:500]


@pytest.fixture(autouse=True)
def still_serves(place):
    yield
    status, text = ask(place, "GET", "/")
    assert status == 200 and '"title":"keras_rlr"' in text
