"""A web server on this machine that can misbehave."""

import contextlib
import http.server
import re
import threading


class Server(http.server.ThreadingHTTPServer):
    """Serves one content.

    Attributes:
        content: Bytes.
        drop_after: Numbers of bytes after which the next answers break off.
        ranges: Whether parts can be asked for.
        status: Answer this error instead, or None.
        requests: The "Range" headers that came.
    """

    daemon_threads = True

    def __init__(self, content):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.drop_after, self.ranges = content, [], True
        self.status, self.requests = None, []

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/file.tar"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        server = self.server
        asked = self.headers.get("Range")
        server.requests.append(asked)
        if server.status:
            self.send_error(server.status)
            return
        begin = 0
        if asked and server.ranges:
            begin = int(re.fullmatch(r"bytes=(\d+)-", asked).group(1))
            if begin >= len(server.content):
                self.send_error(416)
                return
        body = server.content[begin:]
        self.send_response(206 if begin else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if server.drop_after:
            self.wfile.write(body[: server.drop_after.pop(0)])
            self.wfile.flush()
            self.close_connection = True
            self.connection.close()
            return
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


@contextlib.contextmanager
def serving(content):
    """Runs a `Server`."""
    server = Server(content)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
