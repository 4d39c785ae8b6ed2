"""A mail server and a web server on this machine that keep what they are sent."""

from __future__ import annotations

import email
import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session


@dataclass(frozen=True)
class Post:
    """What was posted to the web server."""

    path: str
    authorization: str | None
    body: dict[str, Any]


@dataclass
class Inbox:
    """What both servers got, and their ports."""

    mails: list[tuple[list[str], EmailMessage]] = field(default_factory=list)  # recipients, message
    posts: list[Post] = field(default_factory=list)
    smtp: int = 0
    http: int = 0
    seconds: float = 0  # how long the web server takes

    def to(self, path: str) -> list[dict[str, Any]]:
        """What was posted to ``path``."""
        return [post.body for post in self.posts if post.path == path]

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:
        """Keeps a mail."""
        assert isinstance(envelope.content, bytes)
        message = email.message_from_bytes(envelope.content, policy=policy.default)
        self.mails.append((envelope.rcpt_tos, message))
        return "250 OK"


def free_port() -> int:
    """A port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serving() -> Iterator[Inbox]:
    """Both servers. What is posted to /broken is an error."""
    inbox = Inbox(smtp=free_port())

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            time.sleep(inbox.seconds)
            inbox.posts.append(Post(self.path, self.headers["Authorization"], body))
            self.send_response(500 if self.path == "/broken" else 200)
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing."""

    mail = Controller(inbox, hostname="127.0.0.1", port=inbox.smtp)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as web:
        inbox.http = web.server_port
        Thread(target=web.serve_forever, daemon=True).start()
        mail.start()
        try:
            yield inbox
        finally:
            mail.stop()
            web.shutdown()
