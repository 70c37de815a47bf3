"""Measure the guard against its peers: one process, interleaved, as ratios.

Every contestant is a Flask app with one view on two routes, open and guarded, and
one request that is sent to both, straight through WSGI. A round times a few calls
of everything in random order, so that noise hits all alike; what is reported is the
median over the rounds of each round's own ratio. The clock is the processor time of
the thread: on a busy machine the longer of two calls is interrupted more often, and by
the clock on the wall it would look slower than it is. The overhead of a guard is the
guarded request less the open one, of the same app, in the same round.

The tokens hold what each extension puts in by default for one subject; each is set
up as its documentation says, with the token in the ``Authorization`` header unless
cookies are what it is for. This compares speed and nothing else.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import random
import subprocess
import sys
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from secrets import token_bytes, token_hex
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter_ns, thread_time_ns
from typing import Any

import pyseto
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from flask import Flask
from ring_files import ISSUER, served_keyset, wait_for_keys, write_ring
from werkzeug.test import EnvironBuilder

import flask_paseto
from flask_paseto.keys import generate_key

SUBJECT = "b6f1c2d0-8a41-4c0e-9f5e-3d2a7c5e1b90"
USER_AGENT = "benchmark"
DISTRIBUTIONS = (
    "Flask",
    "Werkzeug",
    "pyseto",
    "cryptography",
    "Flask-JWT-Extended",
    "PyJWT",
    "flask-paseto-extended",
    "Flask-Login",
)

_PRIVATE = Ed25519PrivateKey.generate()
PRIVATE_PEM = _PRIVATE.private_bytes(
    Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
).decode()
PUBLIC_PEM = (
    _PRIVATE.public_key()
    .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    .decode()
)


# What is timed.


@dataclass(frozen=True)
class Timed:
    """A call to time, and the context it runs in, which is not timed."""

    call: Callable[[], object]
    context: Callable[[], AbstractContextManager[object]] = nullcontext


@dataclass(frozen=True)
class Contestant:
    """An app with the routes `/open` and `/guarded`, and the headers sent to both."""

    name: str
    app: Flask
    headers: dict[str, str]


def new_app(**settings: Any) -> Flask:
    app = Flask("benchmark")
    app.config.update(settings)
    return app


def add_routes(app: Flask, guard: Callable[[Any], Any]) -> None:
    """Serve two views alike, so that the guard is all that differs."""

    def make_view() -> Callable[[], dict[str, str]]:
        def view() -> dict[str, str]:
            return {"message": "hello"}

        return view

    app.add_url_rule("/open", "open", make_view())
    app.add_url_rule("/guarded", "guarded", guard(make_view()))


def bearer(token: str | bytes) -> dict[str, str]:
    text = token if isinstance(token, str) else token.decode()
    return {"Authorization": f"Bearer {text}"}


def request_to(app: Flask, path: str, headers: dict[str, str], status: int) -> Timed:
    """Return a whole request as a server makes it, after a first one was checked."""
    environ = EnvironBuilder(
        path=path,
        headers={"User-Agent": USER_AGENT, **headers},
        environ_base={"REMOTE_ADDR": "127.0.0.1"},
    ).get_environ()
    wsgi_app = app.wsgi_app
    seen: list[str] = []

    def send(start_response: Callable[..., Any]) -> None:
        body = wsgi_app(environ.copy(), start_response)
        for _ in body:
            pass
        close = getattr(body, "close", None)
        if close is not None:
            close()

    send(lambda status, headers, exc_info=None: seen.append(status))
    if seen[0].split()[0] != str(status):
        raise RuntimeError(f"{path} answers {seen[0]} where {status} was expected")
    return Timed(lambda: send(_ignore))


def _ignore(status: str, headers: Any, exc_info: Any = None) -> None:
    return None


# The contestants.


def local_key() -> str:
    """Return a new `k4.local` PASERK."""
    return "k4.local." + urlsafe_b64encode(token_bytes(32)).rstrip(b"=").decode()


def paseto_app(**settings: Any) -> Flask:
    app = new_app(**settings)
    flask_paseto.PasetoManager(app)
    add_routes(app, flask_paseto.paseto_required)
    return app


def ours(name: str, **settings: Any) -> Contestant:
    app = paseto_app(**settings)
    with app.app_context():
        token = flask_paseto.create_access_token(SUBJECT)
    return Contestant(name, app, bearer(token))


def with_snapshot(**settings: Any) -> Contestant:
    """Return our guard with a worker's copy of 10,000 sessions that are revoked."""
    settings["PASETO_STORE"] = "memory://"
    settings["PASETO_REVOCATION_SYNC_INTERVAL"] = 300
    one = ours("ours, v4.local, snapshot", **settings)
    with one.app.app_context():
        for number in range(10_000):
            pair = flask_paseto.create_token_pair(str(number % 1000))
            flask_paseto.revoke_token(pair.refresh_token)
    return one


def all_of_ours() -> Iterator[Contestant]:
    cache = {"PASETO_VERIFIED_CACHE_SIZE": 1024}
    secret = {"PASETO_SECRET_KEY": local_key()}
    private = {"PASETO_PRIVATE_KEY": PRIVATE_PEM}
    yield ours("ours, v4.local", **secret)
    yield ours("ours, v4.local, cached", **secret, **cache)
    yield ours("ours, v4.local, memory://", PASETO_STORE="memory://", **secret)
    yield with_snapshot(**secret)
    yield ours("ours, v4.public", **private)
    yield ours("ours, v4.public, cached", **private, **cache)


def with_other_keys(folder: Path, url: str) -> Iterator[Contestant]:
    """Give apps whose keys come from ring files, or partly from a key set."""
    yield ours(RING, PASETO_KEYRING=write_ring(folder / "one", 1))
    yield ours(LARGE_RING, PASETO_KEYRING=write_ring(folder / "many", 1000))
    joined = ours(
        JOINED,
        PASETO_SECRET_KEY=local_key(),
        PASETO_KEYSET_URL={ISSUER: url},
        PASETO_KEYSET_MAX_AGE=3600,  # one fetch in turn, before anything is timed
    )
    wait_for_keys(joined.app, 2)
    yield joined


RING = "ours, ring file of 1 key"
LARGE_RING = "ours, ring file of 1000 keys"
JOINED = "ours, key set joined"


def jwt_extended() -> Iterator[Contestant]:
    from flask_jwt_extended import JWTManager, create_access_token, jwt_required

    def contestant(name: str, **settings: Any) -> Contestant:
        app = new_app(**settings)
        JWTManager(app)
        add_routes(app, jwt_required())
        with app.app_context():
            return Contestant(name, app, bearer(create_access_token(SUBJECT)))

    yield contestant(HS256, JWT_SECRET_KEY=token_hex(32))
    yield contestant(
        EDDSA,
        JWT_ALGORITHM="EdDSA",
        JWT_PRIVATE_KEY=PRIVATE_PEM,
        JWT_PUBLIC_KEY=PUBLIC_PEM,
    )
    # Not in its documentation, and faster: the PEM is not read at every request.
    yield contestant(
        f"{EDDSA}, key object",
        JWT_ALGORITHM="EdDSA",
        JWT_PRIVATE_KEY=load_pem_private_key(PRIVATE_PEM.encode(), None),
        JWT_PUBLIC_KEY=load_pem_public_key(PUBLIC_PEM.encode()),
    )


HS256 = "Flask-JWT-Extended, HS256"
EDDSA = "Flask-JWT-Extended, EdDSA"


def paseto_extended() -> Iterator[Contestant]:
    from flask_paseto_extended import PasetoIssuer, PasetoVerifier, paseto_required

    app = new_app(
        PASETO_ISS="https://issuer.example",
        PASETO_USE_IAT=True,
        PASETO_PRIVATE_KEYS=[{"version": 4, "key": PRIVATE_PEM}],
        PASETO_PUBLIC_KEYS=[
            {"iss": "https://issuer.example", "version": 4, "key": PUBLIC_PEM}
        ],
    )
    verifier = PasetoVerifier(app)
    verifier.token_loader(
        lambda request: request.headers["Authorization"].removeprefix("Bearer ")
    )
    verifier.verification_error_handler(lambda: ("", 401))
    add_routes(app, paseto_required())
    claims = {"sub": SUBJECT, "type": "access", "jti": token_hex(16), "fresh": False}
    yield Contestant(
        "flask-paseto-extended, v4.public", app, bearer(PasetoIssuer(app).issue(claims))
    )


def paseto_extended_login() -> Iterator[Contestant]:
    from flask_paseto_extended import PasetoLoginManager

    yield login_contestant(
        "flask-paseto-extended, remember me", PasetoLoginManager, "remember_token"
    )


def flask_login() -> Iterator[Contestant]:
    from flask_login import LoginManager

    yield login_contestant("Flask-Login, session", LoginManager, "session")


def login_contestant(name: str, manager: Callable[[Flask], Any], kept: str) -> Any:
    """Log in with a Flask-Login manager, and keep one of the cookies it gives."""
    from flask_login import UserMixin, login_required, login_user

    app = new_app(SECRET_KEY=token_hex(32))
    user = UserMixin()
    user.id = SUBJECT
    manager(app).user_loader(lambda user_id: user)
    add_routes(app, login_required)
    app.add_url_rule(
        "/login", "login", lambda: str(login_user(user, remember=kept != "session"))
    )
    client = app.test_client()
    client.get("/login", headers={"User-Agent": USER_AGENT})
    cookie = client.get_cookie(kept)
    if cookie is None:
        raise RuntimeError(f"{name}: logging in gave no cookie {kept}")
    return Contestant(name, app, {"Cookie": f"{kept}={cookie.value}"})


PEERS: tuple[tuple[tuple[str, ...], Callable[[], Iterator[Contestant]]], ...] = (
    (("flask_jwt_extended", "jwt"), jwt_extended),
    (("flask_paseto_extended", "flask_login"), paseto_extended),
    (("flask_paseto_extended", "flask_login"), paseto_extended_login),
    (("flask_login",), flask_login),
)


def all_contestants(folder: Path, url: str) -> tuple[list[Contestant], list[str]]:
    """Return those that are installed, and a line on each that is not."""
    found, left_out = [*all_of_ours(), *with_other_keys(folder, url)], []
    for modules, build in PEERS:
        missing = [module for module in modules if find_spec(module) is None]
        if missing:
            left_out.append(f"{build.__name__}: no module {', '.join(missing)}")
        else:
            found += build()
    return found, left_out


def guards(contestants: list[Contestant]) -> dict[str, Timed]:
    """Return the two requests of each contestant."""
    plain = new_app()
    add_routes(plain, lambda view: view)
    timed = {f"{PLAIN}/open": request_to(plain, "/open", {}, 200)}
    for one in contestants:
        for path in ("open", "guarded"):
            timed[f"{one.name}/{path}"] = request_to(
                one.app, f"/{path}", one.headers, 200
            )
    return timed


PLAIN = "plain Flask"


def single_calls(contestants: dict[str, Contestant]) -> dict[str, Timed]:
    """Return decoding and issuing, without a request around them."""
    local = contestants["ours, v4.local"]
    settings = local.app.config
    key = pyseto.Key.from_paserk(settings["PASETO_SECRET_KEY"])
    codec = local.app.extensions["paseto"]["default"].codec
    token = local.headers["Authorization"].removeprefix("Bearer ")
    timed = {
        "decode, ours": Timed(lambda: codec.open(token)),
        "decode, pyseto": Timed(
            lambda: pyseto.decode(key, token, deserializer=json),
        ),
        "decode, ours, all checks": Timed(
            lambda: flask_paseto.decode_token(token), local.app.app_context
        ),
    }
    issuing = {"v4.local": "ours, v4.local", "v4.public": "ours, v4.public"}
    for kind, name in issuing.items():
        timed[f"create, {kind}"] = Timed(
            lambda: flask_paseto.create_access_token(SUBJECT),
            contestants[name].app.test_request_context,
        )
    if HS256 in contestants:
        from flask_jwt_extended import create_access_token

        for kind, name in {"HS256": HS256, "EdDSA": EDDSA}.items():
            timed[f"create, {kind}"] = Timed(
                lambda: create_access_token(SUBJECT),
                contestants[name].app.test_request_context,
            )
    return timed


def refusals() -> dict[str, Timed]:
    """Return requests that are refused: too long (TOK-3), of an unknown key (KEY-3)."""
    one = paseto_app(PASETO_SECRET_KEY=local_key())
    many = paseto_app(
        PASETO_SECRET_KEY=local_key(),
        PASETO_SECRET_KEY_FALLBACKS=[local_key() for _ in range(999)],
    )
    huge = bearer("v4.local." + "A" * 1_000_000)
    unknown = ours("unknown", PASETO_SECRET_KEY=local_key()).headers
    return {
        "1 MB/open": request_to(one, "/open", huge, 200),
        "1 MB/guarded": request_to(one, "/guarded", huge, 401),
        "no token/open": request_to(one, "/open", {}, 200),
        "no token/guarded": request_to(one, "/guarded", {}, 401),
        "unknown kid, 1 key": refusal(one, unknown),
        "unknown kid, 1000 keys": refusal(many, unknown),
    }


def forgeries(contestants: dict[str, Contestant]) -> dict[str, Timed]:
    """Return requests with a token of a key that nobody knows (KEY-3)."""
    local = ours("forged", PASETO_SECRET_KEY=local_key()).headers
    pair = generate_key(4, "public").to_paserk()
    public = ours("forged", PASETO_PRIVATE_KEY=pair).headers
    timed: dict[str, Timed] = {}
    for name in (RING, LARGE_RING):
        timed |= forgery(f"{name}, forged", contestants[name].app, local)
    for name in ("ours, v4.public", JOINED):
        timed |= forgery(f"{name}, forged v4.public", contestants[name].app, public)
    return timed


def forgery(name: str, app: Flask, headers: dict[str, str]) -> dict[str, Timed]:
    return {
        f"{name}/open": request_to(app, "/open", headers, 200),
        f"{name}/guarded": request_to(app, "/guarded", headers, 401),
    }


def refusal(app: Flask, headers: dict[str, str]) -> Timed:
    """Return the opening of a token that is refused, with no request to dilute it."""
    codec = app.extensions["paseto"]["default"].codec
    token = headers["Authorization"].removeprefix("Bearer ")

    def call() -> None:
        try:
            codec.open(token)
        except flask_paseto.InvalidToken:
            return
        raise RuntimeError("a token of an unknown key was opened")

    return Timed(call)


# Timing.

Times = dict[str, list[float]]  # microseconds a call, one number a round


def measure(timed: dict[str, Timed], *, rounds: int, calls: int) -> Times:
    times: Times = {name: [] for name in timed}
    order = list(timed)
    gc.collect()
    gc.freeze()
    for _ in range(rounds):
        random.shuffle(order)
        gc.collect()
        for name in order:
            times[name].append(time_calls(timed[name], calls))
    return times


def time_calls(timed: Timed, calls: int) -> float:
    call, repeat = timed.call, range(calls)
    with timed.context():
        call()  # the last one left the processor's caches to others
        gc.disable()
        try:
            start = thread_time_ns()
            for _ in repeat:
                call()
            return (thread_time_ns() - start) / calls / 1000
        finally:
            gc.enable()


IMPORTS = {"import flask": "flask", "import flask, flask_paseto": "flask, flask_paseto"}


def measure_imports(rounds: int) -> Times:
    """Time imports in processes of their own.

    The statement in processor time, the whole process by the clock on the wall.
    """
    times: Times = {name + end: [] for name in IMPORTS for end in ("", ", process")}
    order = list(IMPORTS)
    for number in range(rounds + 1):
        random.shuffle(order)
        for name in order:
            start = perf_counter_ns()
            statement = time_import(IMPORTS[name])
            process = (perf_counter_ns() - start) / 1000
            if number:  # the first one writes the bytecode
                times[name].append(statement)
                times[f"{name}, process"].append(process)
    return times


def time_import(modules: str) -> float:
    code = (
        "import time; start = time.process_time_ns()\n"
        f"import {modules}\n"
        "print(time.process_time_ns() - start)"
    )
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-P", "-c", code],
        check=True,
        capture_output=True,
        text=True,
        env=environment,
    )
    return int(done.stdout) / 1000


# What comes of it.


@dataclass(frozen=True)
class Result:
    """A measured value beside its target; None where a peer is not installed."""

    name: str
    value: float | None
    limit: float | None
    minima: float | None = None
    unit: str = "x"

    @property
    def verdict(self) -> str:
        if self.value is None:
            return "not measured"
        if self.limit is None:
            return "for information"
        return "pass" if self.value <= self.limit else "miss"


def overheads(times: Times, name: str) -> list[float]:
    guarded, unguarded = times[f"{name}/guarded"], times[f"{name}/open"]
    return [g - u for g, u in zip(guarded, unguarded, strict=True)]


def least_overhead(times: Times, name: str) -> float:
    return min(times[f"{name}/guarded"]) - min(times[f"{name}/open"])


def ratio(over: list[float], under: list[float]) -> float:
    return median(a / b for a, b in zip(over, under, strict=True))


def guard_result(times: Times, name: str, peer: str, limit: float | None) -> Result:
    title = f"guard, {name} / {peer}"
    if f"{peer}/open" not in times:
        return Result(title, None, limit)
    return Result(
        title,
        ratio(overheads(times, name), overheads(times, peer)),
        limit,
        least_overhead(times, name) / least_overhead(times, peer),
    )


def call_result(times: Times, name: str, peer: str, limit: float | None) -> Result:
    title = f"{name} / {peer}"
    if peer not in times:
        return Result(title, None, limit)
    return Result(
        title,
        ratio(times[name], times[peer]),
        limit,
        min(times[name]) / min(times[peer]),
    )


def import_result(times: Times, end: str, limit: float | None) -> Result:
    alone, both = (times[name + end] for name in IMPORTS)
    least = min(both) / min(alone)
    return Result(f"import flask, flask_paseto / import flask{end}", least, limit)


def all_results(times: Times) -> list[Result]:
    return [
        guard_result(times, "ours, v4.local", HS256, 0.22),
        guard_result(times, "ours, v4.public", EDDSA, 0.42),
        guard_result(times, "ours, v4.public", f"{EDDSA}, key object", None),
        guard_result(times, "ours, v4.local, cached", HS256, 0.07),
        guard_result(times, "ours, v4.public, cached", HS256, 0.07),
        guard_result(times, "ours, v4.local, snapshot", "ours, v4.local", 1.03),
        guard_result(times, "ours, v4.local, memory://", "ours, v4.local", None),
        guard_result(times, LARGE_RING, RING, 1.05),
        guard_result(times, f"{LARGE_RING}, forged", f"{RING}, forged", 1.2),
        guard_result(times, RING, "ours, v4.local", None),
        guard_result(times, JOINED, "ours, v4.local", None),
        guard_result(
            times,
            f"{JOINED}, forged v4.public",
            "ours, v4.public, forged v4.public",
            None,
        ),
        call_result(times, "decode, ours", "decode, pyseto", 0.67),
        call_result(times, "decode, ours, all checks", "decode, pyseto", None),
        call_result(times, "create, v4.local", "create, HS256", 0.65),
        call_result(times, "create, v4.public", "create, EdDSA", None),
        import_result(times, "", 1.42),
        import_result(times, ", process", None),
        refusal_result(times, "1 MB", 50),
        refusal_result(times, "no token", None),
        call_result(times, "unknown kid, 1000 keys", "unknown kid, 1 key", 1.2),
    ]


def refusal_result(times: Times, name: str, limit: float | None) -> Result:
    return Result(
        f"refusing {name}, over the open request",
        median(overheads(times, name)),
        limit,
        least_overhead(times, name),
        unit="us",
    )


def guard_rows(times: Times, names: list[str]) -> Iterator[dict[str, Any]]:
    plain = times[f"{PLAIN}/open"]
    yield {"name": PLAIN, "open_us": min(plain)}
    for name in names:
        unguarded, guarded = times[f"{name}/open"], times[f"{name}/guarded"]
        yield {
            "name": name,
            "open_us": min(unguarded),
            "guarded_us": min(guarded),
            "guarded_over_open": ratio(guarded, unguarded),
            "overhead_us": median(overheads(times, name)),
        }


def installed() -> dict[str, str]:
    found = {"Python": platform.python_version()}
    for name in DISTRIBUTIONS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def print_report(report: dict[str, Any]) -> None:
    print(", ".join(f"{name} {text}" for name, text in report["versions"].items()))
    print(f"{report['rounds']} rounds\n")
    print(f"{'request':<38}{'open':>9}{'guarded':>9}{'ratio':>8}{'overhead':>10}")
    for row in report["guards"]:
        line = f"{row['name']:<38}{row['open_us']:9.1f}"
        if "guarded_us" in row:
            line += f"{row['guarded_us']:9.1f}{row['guarded_over_open']:8.2f}"
            line += f"{row['overhead_us']:10.1f}"
        print(line)
    print("microseconds: minima, the overhead a median; the ratio a median\n")
    print(f"{'target':<66}{'measured':>9}{'minima':>8}{'limit':>7}")
    for row in report["results"]:
        cells = (row["value"], row["minima"], row["limit"])
        texts = ["" if cell is None else f"{cell:.4g}" for cell in cells]
        print(
            f"{row['name']:<66}{texts[0]:>9}{texts[1]:>8}{texts[2]:>7}"
            f" {row['unit']:<3}{row['verdict']}"
        )
    for line in report["left_out"]:
        print(f"left out: {line}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, help="how many rounds (500)")
    parser.add_argument("--quick", action="store_true", help="50 rounds: a first look")
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")
    options = parser.parse_args()
    rounds = options.rounds or (50 if options.quick else 500)
    with TemporaryDirectory() as folder, served_keyset(PRIVATE_PEM) as url:
        contestants, left_out = all_contestants(Path(folder), url)
        by_name = {one.name: one for one in contestants}
        timed = {**guards(contestants), **single_calls(by_name), **refusals()}
        timed |= forgeries(by_name)
        times = measure(timed, rounds=rounds, calls=10)
        times |= measure_imports(max(10, rounds // 20))
        report = {
            "versions": installed(),
            "rounds": rounds,
            "guards": list(guard_rows(times, list(by_name))),
            "results": [
                {**vars(result), "verdict": result.verdict}
                for result in all_results(times)
            ],
            "left_out": left_out,
        }
    if options.json:
        print(json.dumps(report, indent=2))
    else:
        print_report(report)


if __name__ == "__main__":
    main()
