"""What stands between a sweep and its tracker, and can be told to fail."""

import socket
import threading
import time
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal

Mode = Literal["through", "refuses", "hangs", "answers 500"]
HOP = ("connection", "keep-alive", "transfer-encoding", "content-length")


class Proxy:
    """An HTTP server on loopback that passes on to another one, unless it is told otherwise."""

    def __init__(self, target: int) -> None:
        self.mode: Mode = "through"
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length)
                self.close_connection = True
                match proxy.mode:
                    case "refuses":
                        self.connection.shutdown(socket.SHUT_RDWR)
                    case "hangs":
                        while proxy.mode == "hangs":
                            time.sleep(0.1)
                    case "answers 500":
                        self.send_response(500)
                        self.send_header("Content-Length", "0")
                        self.end_headers()
                    case "through":
                        self.pass_on(body)

            do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = answer

            def pass_on(self, body: bytes) -> None:
                onward = HTTPConnection("127.0.0.1", target, timeout=60)
                names = {n: v for n, v in self.headers.items() if n.lower() not in (*HOP, "host")}
                names["Host"] = f"127.0.0.1:{target}"
                onward.request(self.command, self.path, body, names)
                answer = onward.getresponse()
                content = answer.read()
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in (*HOP, "server", "date"):
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)
                onward.close()

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                pass  # a client that was killed

        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self.mode = "refuses"
        self._server.shutdown()
        self._server.server_close()
