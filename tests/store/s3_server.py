"""A real S3 server (moto's) that the tests start, and that can be told to fail, to be slow, or to go away."""

import logging
import threading
import time

from moto.moto_server.werkzeug_app import create_backend_app
from werkzeug.serving import make_server

REGION, KEY, SECRET = "us-east-1", "AKIDEXAMPLE12345", "wJalrXUtnFEMI-never-to-be-written-EXAMPLEKEY"


class S3Server:
    """Serves S3 on a port of this machine.

    Attributes:
        fault: Given a request's method and path, an HTTP status and an S3 code to answer with, or None.
        strip: Headers that the server never sees.
        slow: Seconds that each answer takes longer.
        requests: Method, path and headers of every request.
    """

    def __init__(self):
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._app = create_backend_app("s3")
        self._server, self.port = None, 0
        self.heal()
        self.start()

    def heal(self):
        self.fault, self.strip, self.slow, self.requests = lambda method, path: None, (), 0.0, []

    def start(self):
        self._server = make_server("127.0.0.1", self.port, self._answer, threaded=True)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def stop(self):
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def _answer(self, environ, start_response):
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        self.requests.append((method, path))
        time.sleep(self.slow)
        for header in self.strip:
            environ.pop(header, None)
        fault = self.fault(method, path)
        if fault is None:
            return self._app(environ, start_response)
        status, code = fault
        environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{code}</Message></Error>".encode()
        start_response(f"{status} {code}", [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
        return [body]
