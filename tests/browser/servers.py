"""The example app, and other sites, served on loopback as a browser sees them."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from flask import Flask
from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.test import run_wsgi_app
from werkzeug.wrappers import Request, Response

from example_app import create_app
from example_app.models import add_user, appoint, db
from flask_paseto.state import states_of

PASSWORD = "correct horse"

# Chromium is told that all of .test is on loopback. The first two are one site, and
# the third is another.
HOME = "app.example.test"
SIBLING = "evil.example.test"
FOREIGN = "evil.test"


@dataclass(frozen=True, slots=True)
class Site:
    """The example app as it is served."""

    app: Flask
    url: str

    def add_user(self, name: str, *, administrator: bool = False) -> None:
        """Register somebody whose password is `PASSWORD`."""
        with self.app.app_context():
            user = add_user(name, f"{name}@example.org", PASSWORD)
            assert user is not None
            if administrator:
                appoint(user)


@dataclass(slots=True)
class Elsewhere:
    """Another site: its pages by path, and the headers of each answer."""

    url: str = ""
    pages: dict[str, str] = field(default_factory=dict)
    headers: list[tuple[str, str]] = field(default_factory=list)

    def __call__(self, environ: Any, start_response: Any) -> Any:
        page = self.pages.get(Request(environ).path, "<!doctype html><title>x</title>")
        response = Response(page, mimetype="text/html")
        for name, value in self.headers:
            response.headers.add(name, value)
        return response(environ, start_response)


def make_certificate(folder: Path) -> tuple[str, str]:
    """Return the files of a certificate that is good for an hour, and of its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "tests")])
    now = datetime.now(UTC)
    names = [x509.DNSName(host) for host in (HOME, SIBLING, FOREIGN)]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    files = folder / "certificate.pem", folder / "key.pem"
    files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return str(files[0]), str(files[1])


class _Quiet(WSGIRequestHandler):
    timeout = 30  # seconds: a browser opens connections that it may never use

    def log_request(self, *_: Any) -> None:
        """Say nothing: what matters is asserted."""


def buffered(application: Any) -> Any:
    """Return an application whose answers are read before they are sent.

    A browser that hangs up would leave the file of a static answer open.
    """

    def answer(environ: Any, start_response: Any) -> Any:
        body, status, headers = run_wsgi_app(application, environ, buffered=True)
        start_response(status, list(headers))
        return body

    return answer


@contextmanager
def serving(application: Any, certificate: tuple[str, str] | None) -> Iterator[int]:
    """Serve an application on loopback; give the port."""
    context = None
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
    server = make_server(
        "127.0.0.1",
        0,
        buffered(application),
        threaded=True,
        request_handler=_Quiet,
        ssl_context=context,
    )
    server.daemon_threads = False  # so that the end waits for what is being answered
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server.port
    finally:
        server.shutdown()
        thread.join(timeout=30)
        server.server_close()


@contextmanager
def example_site(
    folder: Path, certificate: tuple[str, str] | None = None, **settings: Any
) -> Iterator[Site]:
    """Serve the example app from a folder: over https at `HOME`, else plain."""
    app = create_app(
        {
            "TESTING": True,
            "SQLALCHEMY_DATABASE_URI": f"sqlite:///{folder / 'users.db'}",
            "PASETO_KEYRING": str(folder / "keyring.json"),
            "PASETO_STORE": f"sqlite:///{folder / 'sessions.db'}",
            "PASETO_STORE_TIMEOUT": 30,
            "PASETO_COOKIE_SECURE": certificate is not None,
            **settings,
        }
    )
    with serving(app, certificate) as port:
        plain = f"http://127.0.0.1:{port}"
        yield Site(app, f"https://{HOME}:{port}" if certificate else plain)
    with app.app_context():
        db.engine.dispose()
    store = states_of(app)["default"].store
    assert store is not None
    store.close()


@contextmanager
def other_site(host: str, certificate: tuple[str, str]) -> Iterator[Elsewhere]:
    """Serve another site over https."""
    elsewhere = Elsewhere()
    with serving(elsewhere, certificate) as port:
        elsewhere.url = f"https://{host}:{port}"
        yield elsewhere
