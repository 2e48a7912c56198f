"""Where an Odoo's mail ends: a server that takes whatever it is given, and keeps it."""

import email
import email.policy
import socketserver
import threading


class Sink(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Session)
        self.port = self.server_address[1]
        self.mails = []                                                 # recipients, subject
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request, client_address):
        """Who hangs up has sent what was acknowledged."""


class Session(socketserver.StreamRequestHandler):
    """One connection: SMTP as far as Odoo speaks it."""

    def say(self, line):
        self.wfile.write(line.encode() + b"\r\n")

    def handle(self):
        self.say("220 sink")
        recipients = []
        for line in iter(self.rfile.readline, b""):
            word = line[:4].upper()
            if word == b"DATA":
                self.say("354 go on")
                lines = list(iter(self.rfile.readline, b".\r\n"))
                message = email.message_from_bytes(b"".join(lines), policy=email.policy.default)
                self.server.mails.append((tuple(recipients), message["Subject"]))
                recipients = []
            elif word == b"RCPT":
                recipients.append(line.split(b":", 1)[1].decode().strip())
            self.say("221 bye" if word == b"QUIT" else "250 ok")
            if word == b"QUIT":
                return
