"""A local server that can misbehave in every way a mirror can."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


class Mirror:
    """A server on this machine. pages: what it does for a path; asked: the paths it was asked for."""

    def __init__(self):
        self.pages = {}
        self.asked = []
        self.over = threading.Event()  # set when the test is over: frees what stalls
        mirror = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):  # noqa: N802
                mirror.asked.append(self.path)
                mirror.pages.get(self.path, lambda handler: handler.send_error(404))(self)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def offer(self, path, content, length=None, pause=None):
        """Answer `path` with the content, announced as `length` bytes; pause(handler) comes after its first half."""

        def page(handler):
            handler.send_response(200)
            handler.send_header("Content-Length", str(len(content) if length is None else length))
            handler.end_headers()
            half = len(content) // 2
            try:
                handler.wfile.write(content[:half])
                handler.wfile.flush()
                if pause:
                    pause(handler)
                handler.wfile.write(content[half:])
            except OSError:  # the other side has given up or was killed
                pass

        self.pages[path] = page


@pytest.fixture
def mirror(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    served = Mirror()
    yield served
    served.over.set()
    served.server.shutdown()
    served.server.server_close()
