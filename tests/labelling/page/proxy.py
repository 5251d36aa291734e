"""A reverse proxy that serves a service below a path, and takes the path off."""

import http.client
import http.server
import threading

from tests.waiting import PATIENCE_S

_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "te", "upgrade"}


class ReverseProxy:
    """Answers below `http://127.0.0.1:PORT/PREFIX/` with what a service says, as nginx does.

    Attributes:
        url: its address, with the prefix and without a slash at the end.
        upstream: `host:port` of the service; set before the first request.
        strays: paths outside of the prefix that somebody asked for.
    """

    def __init__(self, prefix):
        self.strays: list[str] = []
        self.upstream = ""
        proxy = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                length = int(self.headers.get("Content-Length", 0))
                body = self.rfile.read(length)
                if not self.path.startswith(f"{prefix}/"):
                    proxy.strays.append(self.path)
                    self.send_response(404)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                status, headers, content = proxy.ask(
                    self.command, self.path.removeprefix(prefix), body, self.headers
                )
                self.send_response(status)
                for name, value in headers:
                    if name.lower() not in {*_HOP_BY_HOP, "content-length", "date", "server"}:
                        self.send_header(name, value)
                if status != 304:
                    self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_PUT = do_POST = do_DELETE = answer

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}{prefix}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def ask(self, method, path, body, headers):
        """Asks the service under its own name, as proxies do that are not told otherwise."""
        sent = {k: v for k, v in headers.items() if k.lower() not in {*_HOP_BY_HOP, "host"}}
        connection = http.client.HTTPConnection(self.upstream, timeout=PATIENCE_S)
        try:
            connection.request(method, path, body or None, sent)
            response = connection.getresponse()
            return response.status, response.getheaders(), response.read()
        finally:
            connection.close()

    def close(self):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
