#!/usr/bin/env python3
"""The wire between the pods and Odoo: a server on the bridge that hands every call on, sees it, and misbehaves when told to.

    wire.py ODOO_PORT [--without-json2]     the same on loopback, for a laptop's run: prints its address, and stays until it is ended
"""

import argparse
import collections
import http.client
import http.server
import re
import socket
import threading
import xml.parsers.expat
import xmlrpc.client

READS = {"search", "search_read", "search_count", "read", "read_group", "fields_get", "has_access", "context_get", "name_search", "get_external_id", "check_access_rights", "web_version", "default_get", "formatted_read_group"}
NO_JSON2 = (404, [("Content-Type", "text/html; charset=utf-8")], b"<!doctype html><title>404 Not Found</title>")      # as Odoo 18 says it
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "host"}


class Call:
    """One request: the model and the method that it calls, over whichever API."""

    def __init__(self, path, body):
        self.path, self.body = path, body
        found = re.fullmatch(r"/json/2/([^/]+)/([^/?]+)", path)
        self.model, self.method = found.groups() if found else self.of_xml() or ("", path)

    def of_xml(self):
        if self.path != "/xmlrpc/2/object":
            return None
        try:
            (_, _, _, model, method, *_), _ = xmlrpc.client.loads(self.body)
            return model, method
        except (xml.parsers.expat.ExpatError, ValueError):
            return None

    @property
    def writes(self):
        return self.model != "" and self.method not in READS

    def __str__(self):
        return f"{self.model}.{self.method}"


class Drop(Exception):
    """Closes the connection without an answer."""


class Wire(http.server.ThreadingHTTPServer):
    """`before(call)` may answer in Odoo's place (status, headers, body); `after(call)` comes when Odoo has answered. Both may raise Drop."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self, address, odoo_port):
        self.odoo_port = odoo_port
        self.json2 = True                                              # False: a server that does not have it
        self.guard = threading.Lock()
        self.calm()
        super().__init__((address, 0), Handler)
        self.url = f"http://{address}:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def calm(self):
        """No misbehaviour, and nothing seen."""
        self.before = self.after = lambda call: None
        with self.guard:
            self.calls = collections.Counter()
            self.watched = []

    def written(self):
        """Calls that change something in Odoo, the lock's own aside."""
        with self.guard:
            return {str(call): count for (call, model, writes), count in self.calls.items() if writes and model != "ir.config_parameter"}

    def next_call(self, model, method):
        """An event that is set when such a call reaches Odoo, and the call is not answered before."""
        seen = threading.Event()
        with self.guard:
            self.watched.append((model, method, seen))
        return seen

    def saw(self, call):
        with self.guard:
            self.calls[str(call), call.model, call.writes] += 1
            for model, method, seen in self.watched:
                if (model, method) == (call.model, call.method):
                    seen.set()

    def handle_error(self, request, client_address):
        """A peer that went away is part of the play."""


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def handle_any(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        call = Call(self.path, body)
        hidden = not self.server.json2 and self.path.startswith("/json/")
        if not hidden:
            self.server.saw(call)
        try:
            status, headers, content = NO_JSON2 if hidden else self.server.before(call) or self.forward(body)
            self.server.after(call)
        except (Drop, OSError, http.client.HTTPException):
            self.close_connection = True
            return
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in HOP_BY_HOP:
                self.send_header(name, value)
        whole = next((int(v) for n, v in headers if n.lower() == "content-length"), None)
        half = whole is not None and whole > len(content)             # promised more than is sent: half a reply
        self.send_header("Content-Length", str(whole if half else len(content)))
        self.end_headers()
        self.wfile.write(content)
        self.close_connection = self.close_connection or half

    do_GET = do_POST = handle_any

    def forward(self, body):
        """On a connection of its own, so that nothing is ever sent twice."""
        odoo = http.client.HTTPConnection("127.0.0.1", self.server.odoo_port, timeout=600)
        try:
            headers = {k: v for k, v in self.headers.items() if k.lower() not in HOP_BY_HOP}
            odoo.request(self.command, self.path, body or None, headers)
            answer = odoo.getresponse()
            return answer.status, [(k, v) for k, v in answer.getheaders() if k.lower() != "content-length"], answer.read()
        finally:
            odoo.close()

    def setup(self):
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def main():
    cli = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    cli.add_argument("odoo_port", type=int)
    cli.add_argument("--without-json2", action="store_true", help="as a server before Odoo 19")
    given = cli.parse_args()
    wire = Wire("127.0.0.1", given.odoo_port)
    wire.json2 = not given.without_json2
    print(wire.url, flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
