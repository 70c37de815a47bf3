"""Keys from the address of another issuer, whatever that answers."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

from flask_paseto import KeysUnavailable
from flask_paseto.keys import KeyRing, RingKey, generate_key, public_half
from flask_paseto.keys.file import FileKeys
from flask_paseto.keys.keyset import build_keyset
from flask_paseto.keys.refresh import RETRY_INTERVAL, FetchFailed
from flask_paseto.keys.remote import (
    MAX_KEYS,
    MAX_SIZE,
    RemoteKeys,
    check_url,
    read_keyset,
)
from flask_paseto.keys.source import FixedKeys, JoinedKeys

from .rings import Ticks, document_of, entry_of, put

ISSUER = "https://auth.example"
DAY = 86_400

Respond = Callable[[BaseHTTPRequestHandler], None]


def new_key(version: int = 4) -> RingKey:
    return RingKey.of(generate_key(version, "public"))


def body_of(*keys: RingKey, **more: Any) -> bytes:
    return json.dumps({**build_keyset(keys, ISSUER), **more}).encode()


class Server:
    """An address on loopback that answers as it is told."""

    def __init__(self) -> None:
        self.respond: Respond = answer(body_of())
        self.headers: list[dict[str, str]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.headers.append(dict(self.headers))
                try:
                    outer.respond(self)
                except OSError:
                    self.close_connection = True

            def log_message(self, *args: Any) -> None:
                """Say nothing."""

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    @property
    def port(self) -> int:
        return self.http.server_address[1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/keys?v=1"


def answer(
    body: bytes, status: int = 200, **headers: str
) -> Callable[[BaseHTTPRequestHandler], None]:
    def respond(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        given = {"Content-Type": "application/json", "Content-Length": str(len(body))}
        for name, value in {
            **given,
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    return respond


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server()
    yield found
    found.http.shutdown()
    found.http.server_close()


@pytest.fixture
def ticks() -> Ticks:
    return Ticks()


@pytest.fixture
def remote(server: Server, ticks: Ticks) -> RemoteKeys:
    return remote_of(server.url, ticks)


def remote_of(url: str, ticks: Ticks, timeout: float = 5) -> RemoteKeys:
    return RemoteKeys(
        url,
        ISSUER,
        max_age=timedelta(minutes=5),
        timeout=timedelta(seconds=timeout),
        max_stale=timedelta(days=1),
        ticks=ticks,
    )


# What is taken


@pytest.mark.requirement("KEY-4")
def test_a_key_is_fetched_when_a_token_names_it(
    server: Server, remote: RemoteKeys
) -> None:
    four, three = new_key(), new_key(3)
    server.respond = answer(body_of(four, three))

    for key in (four, three):
        found = remote.find(key.key_id)
        assert found is not None
        assert found.key_id == key.key_id
        assert found.issuer == ISSUER
        assert not found.private
    assert {key.key_id for key in remote.current()} == {four.key_id, three.key_id}
    assert len(server.headers) == 1
    sent = server.headers[0]
    assert sent["Accept"] == "application/json"
    assert sent["Accept-Encoding"] == "identity"
    assert "If-None-Match" not in sent


@pytest.mark.requirement("KEY-3")
@pytest.mark.parametrize(
    "kid",
    [
        "",
        "1",
        "k4.lid." + "A" * 44,
        "k2.pid." + "A" * 44,
        "k4.pid." + "A" * 43,
        "k4.pid." + "A" * 43 + "/",
        "https://evil.example/keys",
    ],
)
def test_an_id_that_is_none_of_a_public_key_asks_nobody(
    server: Server, remote: RemoteKeys, kid: str
) -> None:
    remote.seek(kid)
    assert remote.find(kid) is None
    assert remote._kept._threads == []
    assert server.headers == []


def test_a_thousand_forged_ids_ask_once_in_half_a_minute(
    server: Server, remote: RemoteKeys, ticks: Ticks
) -> None:
    server.respond = answer(body_of(new_key()))
    for n in range(1000):
        assert remote.find(f"k4.pid.{n:044d}") is None
    assert len(server.headers) == 1
    late = new_key()
    server.respond = answer(body_of(late))
    ticks.advance(RETRY_INTERVAL - 0.1)
    assert remote.find(late.key_id) is None
    ticks.advance(0.1)
    assert remote.find(late.key_id) is not None
    assert len(server.headers) == 2


def entry(**changes: Any) -> dict[str, Any]:
    key = new_key()
    found = {"kid": key.key_id, "key": key.public, **changes}
    return {name: value for name, value in found.items() if value is not ...}


@pytest.mark.requirement("KEY-2", "KEY-4")
@pytest.mark.parametrize(
    "bad",
    [
        entry(kid=new_key().key_id),
        entry(kid=...),
        entry(key=...),
        entry(key=generate_key().to_paserk()),
        entry(key=generate_key(4, "public").to_paserk()),
        entry(key="k2.public." + "A" * 43),
        entry(key="k4.public.AQ" + "A" * 41),
        entry(key="k4.public." + "A" * 43),
        entry(key=["k4.public"]),
        entry(not_after="tomorrow"),
        entry(not_after="2026-01-01T00:00:00"),
        entry(not_after=5),
        "k4.public",
        None,
        [],
    ],
    ids=range(15),
)
def test_what_is_no_good_public_key_is_left_out(
    bad: Any, caplog: pytest.LogCaptureFixture
) -> None:
    good = new_key()
    body = json.dumps({"keys": [bad, {"kid": good.key_id, "key": good.public}]})

    assert [key.key_id for key in read_keyset(body.encode(), ISSUER)] == [good.key_id]
    assert f"the key set of {ISSUER}: 1 keys are not taken" in caplog.text
    assert "k4." not in caplog.text


@pytest.mark.requirement("CLM-2")
def test_every_key_is_tied_to_the_issuer_and_ends_on_its_date() -> None:
    end = "2027-01-01T00:00:00Z"
    body = json.dumps({"issuer": ISSUER, "keys": [entry(not_after=end), entry()]})
    first, second = read_keyset(body.encode(), ISSUER)
    assert first.issuer == second.issuer == ISSUER
    assert first.not_after == datetime(2027, 1, 1, tzinfo=UTC)
    assert second.not_after is None


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "not JSON"),
        (b"<!doctype html>", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "no key set"),
        (b"{}", "no key set"),
        (b'{"keys": {}}', "no key set"),
        (json.dumps({"keys": [1] * (MAX_KEYS + 1)}).encode(), "at most 1000"),
        (b'{"issuer": "https://evil.example", "keys": []}', "another issuer"),
    ],
    ids=range(9),
)
def test_what_is_no_key_set_is_refused(body: bytes, says: str) -> None:
    with pytest.raises(FetchFailed, match=says):
        read_keyset(body, ISSUER)


# What an address can do


def hang(handler: BaseHTTPRequestHandler) -> None:
    handler.rfile.read(1)  # until the other side gives up


def drip(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    for _ in range(600):
        handler.wfile.write(b"a")
        handler.wfile.flush()
        threading.Event().wait(0.1)


def never_end(handler: BaseHTTPRequestHandler) -> None:
    """Answer with all that there is to say, but not that this is all."""
    handler.send_response(200)
    handler.send_header("Content-Type", "application/json")
    handler.end_headers()
    handler.wfile.write(b'{"keys": []}')
    handler.rfile.read(1)


def drip_body(handler: BaseHTTPRequestHandler) -> None:
    """Never make the other side wait for long, and never come to an end."""
    handler.send_response(200)
    handler.send_header("Content-Type", "application/json")
    handler.end_headers()
    for _ in range(600):
        handler.wfile.write(b" ")
        handler.wfile.flush()
        threading.Event().wait(0.1)


def break_off(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"keys": []}')


def endless_headers(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 10_000)


def negative_chunk(handler: BaseHTTPRequestHandler) -> None:
    """Say that the next chunk has -1 bytes, which to a file means: all there is."""
    handler.wfile.write(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n-1\r\n"
    )
    for _ in range(1000):
        handler.wfile.write(b" " * 65_536)


@pytest.mark.parametrize(
    ("respond", "says"),
    [
        (hang, "cannot be reached, or does not answer in time"),
        (drip, ""),
        (drip_body, "does not answer in time"),
        (never_end, "does not answer in time"),
        (break_off, "breaks off"),
        (endless_headers, "cannot be reached"),
        (negative_chunk, f"more than {MAX_SIZE} bytes"),
        (answer(b" " * 10_000_000), f"more than {MAX_SIZE} bytes"),
        (answer(b"<html>", Content_Type="text/html"), "not application/json"),
        (answer(b"<html>"), "not JSON"),
        (answer(b"", 302, Location="http://127.0.0.2/keys"), "redirect"),
        (answer(b"", 307, Location="https://evil.example/keys"), "redirect"),
        (answer(body_of(), 304), "redirect"),
        (answer(b"", 404), "status 404"),
        (answer(body_of(), 500), "status 500"),
        (answer(body_of(), 206), "status 206"),
        (lambda handler: handler.wfile.write(b"SSH-2.0\r\n"), "cannot be reached"),
    ],
    ids=range(17),
)
def test_an_address_that_goes_bad_keeps_the_last_good_keys(
    server: Server,
    ticks: Ticks,
    caplog: pytest.LogCaptureFixture,
    respond: Respond,
    says: str,
) -> None:
    remote = remote_of(server.url, ticks, timeout=1)
    key = new_key()
    server.respond = answer(body_of(key))
    assert remote.find(key.key_id) is not None
    server.respond = respond
    ticks.advance(RETRY_INTERVAL)

    assert remote.find("k4.pid." + "A" * 44) is None

    def told() -> list[str]:
        """Return what the log says of this address; others may come to an end late."""
        return [text for text in caplog.messages if f":{server.port}/" in text]

    for _ in range(400):
        if told():
            break
        threading.Event().wait(0.01)
    (message,) = told()
    assert says in message
    assert "v=1" not in caplog.text
    assert [each.key_id for each in remote.current()] == [key.key_id]
    ticks.advance(DAY)
    assert remote.current() == ()
    with pytest.raises(KeysUnavailable):
        remote.find(key.key_id)


def test_an_address_where_nobody_is_gives_no_keys_and_recovers(
    server: Server, ticks: Ticks
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    remote = remote_of(f"http://127.0.0.1:{port}/", ticks)
    key = new_key()
    for _ in range(2):
        with pytest.raises(KeysUnavailable) as refused:
            remote.find(key.key_id)
        assert refused.value.retry_seconds == 30
    remote._url = server.url  # as if it were up again
    server.respond = answer(body_of(key))
    ticks.advance(RETRY_INTERVAL)
    assert remote.find(key.key_id) is not None


def test_a_proxy_of_the_environment_is_not_asked(
    server: Server, remote: RemoteKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    key = new_key()
    server.respond = answer(body_of(key))
    assert remote.find(key.key_id) is not None


def certificate(folder: Path) -> Path:
    """Return a PEM of a key and a certificate for 127.0.0.1 that nobody vouches for."""
    key = generate_private_key(SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]),
            critical=False,
        )
        .sign(key, SHA256())
    )
    path = folder / "certificate.pem"
    path.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        + made.public_bytes(Encoding.PEM)
    )
    return path


def test_a_certificate_that_nobody_vouches_for_is_refused(
    server: Server, ticks: Ticks, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate(tmp_path))
    server.http.socket = context.wrap_socket(server.http.socket, server_side=True)
    remote = remote_of(f"https://127.0.0.1:{server.port}/keys", ticks)
    with pytest.raises(KeysUnavailable):
        remote.find("k4.pid." + "A" * 44)
    assert "certificate that cannot be verified" in caplog.text
    assert server.headers == []


def test_a_certificate_that_somebody_vouches_for_is_good_for_its_host_alone(
    server: Server,
    ticks: Ticks,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate(tmp_path))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
    server.http.socket = context.wrap_socket(server.http.socket, server_side=True)
    key = new_key()
    server.respond = answer(body_of(key))

    good = remote_of(f"https://127.0.0.1:{server.port}/keys", ticks)
    assert good.find(key.key_id) is not None
    assert server.headers[0]["Host"] == f"127.0.0.1:{server.port}"
    other = remote_of(f"https://localhost:{server.port}/keys", ticks)
    with pytest.raises(KeysUnavailable):
        other.find(key.key_id)
    assert "certificate that cannot be verified" in caplog.text


# How long they are used


@pytest.mark.parametrize(
    ("control", "age", "lasts"),
    [
        ("", "", 30),
        ("no-store", "", 30),
        ("max-age=0", "", 30),
        ("public, max-age=120", "", 120),
        ("max-age=86400", "", 300),
        ("max-age=" + "9" * 50, "", 30),
        ("max-age=120", "50", 70),
        ("max-age=120", "119", 30),
        ("max-age=120", "-50", 120),
        ("max-age=120", "1" * 50, 120),
    ],
)
def test_the_address_says_how_long_within_bounds(
    server: Server, remote: RemoteKeys, ticks: Ticks, control: str, age: str, lasts: int
) -> None:
    """What a cache on the way has kept for a while is as much older (RFC 9111)."""
    server.respond = answer(body_of(new_key()), Cache_Control=control, Age=age)
    with pytest.raises(AssertionError):
        assert remote.find("k4.pid." + "A" * 44) is not None
    first = remote.current()
    ticks.advance(0.79 * lasts)
    assert remote.current() is first
    assert len(server.headers) == 1
    ticks.advance(0.21 * lasts)
    assert remote.current() is not first
    assert len(server.headers) == 2


def test_what_did_not_change_is_not_sent_again(
    server: Server, remote: RemoteKeys, ticks: Ticks
) -> None:
    key = new_key()
    server.respond = answer(body_of(key), ETag='"one"')
    assert remote.find(key.key_id) is not None
    first = remote.current()

    def not_modified(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(304)
        handler.send_header("Cache-Control", "max-age=60")
        handler.end_headers()

    server.respond = not_modified
    ticks.advance(30)
    assert remote.current() is first
    assert server.headers[1]["If-None-Match"] == '"one"'
    assert len(server.headers) == 2
    ticks.advance(47)
    assert remote.current() is first
    assert len(server.headers) == 2


@pytest.mark.parametrize(
    "url",
    [
        "https://auth.example/.well-known/paseto-keys",
        "https://auth.example:8443/keys?x=1",
        "http://127.0.0.1:5000/keys",
        "http://127.8.9.1/keys",
        "http://[::1]:5000/keys",
    ],
)
def test_an_address_may_be_https_or_a_literal_of_loopback(url: str) -> None:
    assert check_url(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "http://auth.example/keys",
        "http://localhost/keys",
        "http://127.0.0.1.evil.example/keys",
        "http://10.0.0.1/keys",
        "http://0.0.0.0/keys",
        "ftp://auth.example/keys",
        "file:///etc/keys",
        "https:///keys",
        "https://user@auth.example/keys",
        "https://user:password@auth.example/keys",
        "https://auth.example/keys#a",
        "https://auth.example:port/keys",
        "https://auth.example/a b",
        "https://auth.example/\r\nHost: evil",
        "https://[::1/keys",
        "auth.example/keys",
        "",
        b"https://auth.example",
        None,
        5,
    ],
)
def test_any_other_address_is_refused(url: Any) -> None:
    with pytest.raises(ValueError, match="must be an https URL") as refused:
        check_url(url)
    assert "password" not in str(refused.value)


def test_the_path_of_an_address_may_be_empty(server: Server, ticks: Ticks) -> None:
    key = new_key()
    server.respond = answer(body_of(key))
    remote = remote_of(f"http://127.0.0.1:{server.port}", ticks)
    assert remote.find(key.key_id) is not None


@pytest.mark.parametrize("etag", ['"a"\r\n "b"', '"' + "a" * 60_000 + '"'])
def test_a_tag_that_could_not_be_sent_back_is_not_kept(
    server: Server, remote: RemoteKeys, ticks: Ticks, etag: str
) -> None:
    """Asking with it would fail from then on, until the worker starts anew."""
    key = new_key()
    server.respond = answer(body_of(key), ETag=etag)
    assert remote.find(key.key_id) is not None
    ticks.advance(RETRY_INTERVAL)

    assert remote.find(key.key_id) is not None

    assert [headers.get("If-None-Match") for headers in server.headers] == [None, None]


def test_an_answer_in_chunks_is_read(server: Server, remote: RemoteKeys) -> None:
    key = new_key()
    body = body_of(key)

    def respond(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        for part in (body[:50], body[50:]):
            handler.wfile.write(b"%x\r\n%b\r\n" % (len(part), part))
        handler.wfile.write(b"0\r\n\r\n")

    server.respond = respond
    assert remote.find(key.key_id) is not None


# Behind one's own


def test_keys_of_others_stand_behind_those_of_the_app(
    server: Server, remote: RemoteKeys, ticks: Ticks
) -> None:
    """An issuer that lists a key of ours does not get hold of our tokens."""
    ours = RingKey.of(pair := generate_key(4, "public"))
    listed, theirs = new_key(), new_key()  # one is in PASETO_PUBLIC_KEYS, tied
    mine = replace(listed, issuer="https://third.example")
    served = (RingKey.of(public_half(pair)), listed, theirs)
    server.respond = answer(body_of(*served))
    own = KeyRing.of([ours], [mine])
    joined = JoinedKeys(FixedKeys(own), [remote])

    assert set(joined.current().by_id) == {ours.key_id, mine.key_id}
    assert joined.find(theirs.key_id) is not None
    ring = joined.current()

    assert set(ring.by_id) == {ours.key_id, mine.key_id, theirs.key_id}
    assert ring.by_id[ours.key_id] is ours
    assert ring.by_id[mine.key_id] is mine
    assert ring.issuing["public"] is ours
    assert joined.current() is ring
    server.respond = answer(body_of())
    ticks.advance(RETRY_INTERVAL)
    assert joined.current() is not ring
    assert set(joined.current().by_id) == {ours.key_id, mine.key_id}


@pytest.mark.requirement("KEY-7")
def test_a_ring_file_beside_an_address_is_read_again_when_it_changed(
    server: Server, remote: RemoteKeys, ticks: Ticks, tmp_path: Path
) -> None:
    path, theirs = tmp_path / "ring.json", new_key()
    server.respond = answer(body_of(theirs))
    retired, issuing = entry_of(), entry_of()
    put(path, document_of(retired))
    joined = JoinedKeys(FileKeys(path, ticks=ticks), [remote])
    assert joined.find(theirs.key_id) is not None
    assert set(joined.current().by_id) == {retired.id, theirs.key_id}

    put(path, document_of(issuing, version=2))
    ticks.advance(1)

    assert set(joined.current().by_id) == {issuing.id, theirs.key_id}
    assert joined.current().issuing["local"].key_id == issuing.id


def test_each_of_several_addresses_is_asked_before_a_key_counts_as_unknown(
    server: Server, remote: RemoteKeys, ticks: Ticks
) -> None:
    down = remote_of("http://127.0.0.1:9/", ticks)
    key = new_key()
    server.respond = answer(body_of(key))
    joined = JoinedKeys(FixedKeys(KeyRing.of()), [down, remote])

    assert joined.find(key.key_id) is not None
    with pytest.raises(KeysUnavailable):
        joined.find("k4.pid." + "A" * 44)
    assert joined.find("no id of a public key") is None
    alone = JoinedKeys(FixedKeys(KeyRing.of()), [remote])
    assert alone.find("k4.pid." + "A" * 44) is None


def test_addresses_that_hang_are_waited_for_together(
    server: Server, ticks: Ticks
) -> None:
    server.respond = hang
    remotes = [remote_of(server.url, ticks, timeout=0.5) for _ in range(4)]
    joined = JoinedKeys(FixedKeys(KeyRing.of()), remotes)
    before = monotonic()

    with pytest.raises(KeysUnavailable):
        joined.find("k4.pid." + "A" * 44)

    assert monotonic() - before < 1.5


def test_addresses_that_grew_old_are_asked_at_once(
    server: Server, ticks: Ticks
) -> None:
    """A worker that idled waits for the slowest, not for one after the other."""
    remotes = [remote_of(server.url, ticks, timeout=30) for _ in range(3)]
    joined = JoinedKeys(FixedKeys(KeyRing.of()), remotes)
    assert joined.find("k4.pid." + "A" * 44) is None
    key, all_asked = new_key(), threading.Barrier(3)

    def respond(handler: BaseHTTPRequestHandler) -> None:
        with suppress(threading.BrokenBarrierError):
            all_asked.wait(10)
            answer(body_of(key))(handler)

    server.respond = respond
    ticks.advance(DAY / 2)

    assert set(joined.current().by_id) == {key.key_id}
    assert len(server.headers) == 6
    joined.current()
    assert len(server.headers) == 6


@pytest.mark.requirement("CLM-2")
def test_a_key_that_two_issuers_call_theirs_is_taken_for_the_first_and_logged(
    server: Server, remote: RemoteKeys, ticks: Ticks, caplog: pytest.LogCaptureFixture
) -> None:
    key = new_key()
    server.respond = answer(json.dumps(build_keyset([key], None)).encode())
    bounds = {
        "max_age": timedelta(minutes=5),
        "timeout": timedelta(seconds=5),
        "max_stale": timedelta(days=1),
    }
    other = RemoteKeys(server.url, "https://b.example", ticks=ticks, **bounds)
    joined = JoinedKeys(FixedKeys(KeyRing.of()), [remote, other])
    for each in (joined, remote, other):
        assert each.find(key.key_id) is not None

    assert joined.current().by_id[key.key_id].issuer == ISSUER
    assert f"{ISSUER} and https://b.example both hold {key.key_id}" in caplog.text
