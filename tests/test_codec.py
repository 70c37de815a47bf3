"""From claims to token and back: one strict way in, one way out."""

from __future__ import annotations

import json
import string
from base64 import urlsafe_b64decode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import FrozenInstanceError, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from flask import Flask
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from flask_paseto import (
    Claims,
    ConfigurationError,
    InvalidClaims,
    InvalidToken,
    PasetoError,
    create_access_token,
    decode_token,
)
from flask_paseto.codec import Codec, VerifiedCache
from flask_paseto.keys import KeyRing, RingKey, generate_key
from flask_paseto.keys.ring import encode_part

PASETO_KEYS = {
    "v4.local": generate_key(4, "local"),
    "v4.public": generate_key(4, "public"),
    "v3.local": generate_key(3, "local"),
    "v3.public": generate_key(3, "public"),
}
KEYS = {header: RingKey.of(key) for header, key in PASETO_KEYS.items()}
HEADERS = list(KEYS)
LOCAL = KEYS["v4.local"]
CODEC = Codec(KeyRing.of([LOCAL]))
CLAIMS: dict[str, Any] = {
    "sub": "alice",
    "type": "access",
    "jti": "00112233445566778899aabbccddeeff",
    "iat": "2026-01-01T00:00:00Z",
    "exp": "2026-01-01T00:15:00Z",
}
ALPHABET = string.ascii_letters + string.digits + "-_"


def dump(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def forge(
    payload: bytes | Mapping[str, Any] = CLAIMS,
    footer: bytes | None = None,
    *,
    key: RingKey = LOCAL,
    assertion: bytes = b"",
) -> str:
    """Return an authentic token of anything; without a footer, that of our own."""
    raw = payload if isinstance(payload, bytes) else dump(payload)
    raw_footer = key.footer if footer is None else footer
    return key.seal(raw, raw_footer, assertion).rstrip(".")


def with_claims(**claims: Any) -> str:
    """Return a token of `CLAIMS` with some others, those that are `...` taken out."""
    merged = {**CLAIMS, **claims}
    return forge({name: value for name, value in merged.items() if value is not ...})


class CountingRing:
    """A ring whose keys count how often they are tried."""

    def __init__(self, *keys: RingKey) -> None:
        self.tries = 0
        self.ring = KeyRing.of(accepted=[self._counting(key) for key in keys])

    def _counting(self, key: RingKey) -> RingKey:
        def open_counted(body: bytes, footer: bytes, assertion: bytes) -> bytes:
            self.tries += 1
            return key.open(body, footer, assertion)

        return replace(key, _open=open_counted)


def thaw(value: Any) -> Any:
    """Return what JSON would have given: dicts and lists."""
    if isinstance(value, Mapping):
        return {name: thaw(item) for name, item in value.items()}
    return [thaw(item) for item in value] if isinstance(value, tuple) else value


# Token form


@pytest.mark.requirement("TOK-2")
@pytest.mark.parametrize("header", HEADERS)
def test_what_was_sealed_opens(header: str) -> None:
    codec = Codec(KeyRing.of([KEYS[header]]))

    token = codec.seal(CLAIMS)
    claims = codec.open(token)

    assert token.startswith(header + ".")
    assert token.count(".") == 3
    assert claims.wire == CLAIMS
    assert claims.footer == {"kid": KEYS[header].key_id}
    assert claims.key_id == KEYS[header].key_id
    assert claims.issued_at == datetime(2026, 1, 1, tzinfo=UTC)
    assert claims.expires_at == datetime(2026, 1, 1, 0, 15, tzinfo=UTC)
    assert claims.not_before is None
    assert claims.auth_time is None
    assert claims.fresh is False


@pytest.mark.requirement("TOK-2")
@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "..",
        "...",
        "....",
        "v4",
        "v4.local",
        "v4.local.",
        "v4.local..",
        "v4.local.AAAA",
        "v4.local.AAAA.",
        "v4.local.AAAA.AAAA",
        "v4.local.AAAA.AAAA.AAAA",
    ],
)
def test_other_than_three_or_four_filled_parts_are_refused(token: str) -> None:
    for accept in (False, True):
        with pytest.raises(InvalidToken):
            Codec(CODEC.ring, accept_missing_kid=accept).open(token)


@pytest.mark.requirement("TOK-2")
@pytest.mark.parametrize("place", range(4))
def test_an_empty_part_is_refused(place: int) -> None:
    parts = forge().split(".")
    assert CODEC.open(".".join(parts))
    parts[place] = ""

    with pytest.raises(InvalidToken):
        CODEC.open(".".join(parts))


@pytest.mark.requirement("TOK-2")
def test_a_fifth_part_is_refused() -> None:
    token = forge()
    footer = token.rpartition(".")[2]

    for more in (".", ".AAAA", "." + footer):
        with pytest.raises(InvalidToken):
            CODEC.open(token + more)


@pytest.mark.requirement("TOK-2")
@pytest.mark.parametrize(
    "header",
    [
        "V4.local",
        "v4.Local",
        "v4.LOCAL",
        "v4.public",
        "v3.local",
        "v2.local",
        "v1.local",
        "v04.local",
        "v4 .local",
        "v4.loca",
        "v4.local ",
        "4.local",
        "k4.local",
    ],
)
def test_a_header_that_is_not_the_keys_is_refused(header: str) -> None:
    token = forge()
    body = token.removeprefix("v4.local")

    for accept in (False, True):
        codec = Codec(KeyRing.of(accepted=KEYS.values()), accept_missing_kid=accept)
        assert codec.open("v4.local" + body)
        with pytest.raises(InvalidToken):
            codec.open(header + body)


@pytest.mark.requirement("TOK-2")
@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize("other", HEADERS)
def test_the_kid_of_one_header_opens_no_other(header: str, other: str) -> None:
    """Each token is authentic for its key, and relabelled for another."""
    if header == other:
        return
    codec = Codec(KeyRing.of(accepted=KEYS.values()), accept_missing_kid=True)
    longer = dump({"kid": KEYS[header].key_id, "a": 1})

    for footer in (None, longer):
        token = forge(footer=footer, key=KEYS[header])
        assert codec.open(token)
        with pytest.raises(InvalidToken):
            codec.open(other + token.removeprefix(header))
    with pytest.raises(InvalidToken):
        codec.open(forge(footer=longer, key=KEYS[other]))


@pytest.mark.requirement("TOK-2")
@pytest.mark.parametrize("extra", range(3))
def test_padding_in_a_token_is_refused(extra: int) -> None:
    footer = dump({"kid": LOCAL.key_id, "x": "y" * extra})
    token = forge({**CLAIMS, "x": "y" * extra}, footer)
    start, _, end = token.rpartition(".")
    assert CODEC.open(token)

    for pad in ("=", "==", "==="):
        for padded in (f"{start}{pad}.{end}", f"{start}.{end}{pad}"):
            with pytest.raises(InvalidToken):
                CODEC.open(padded)


@pytest.mark.requirement("TOK-2")
@pytest.mark.parametrize("place", [2, 3], ids=["body", "footer"])
@pytest.mark.parametrize("extra", range(3))
def test_unused_bits_that_are_set_are_refused(place: int, extra: int) -> None:
    footer = dump({"kid": LOCAL.key_id, "x": "y" * extra})
    parts = forge({**CLAIMS, "x": "y" * extra}, footer).split(".")
    part = parts[place]
    raw = urlsafe_b64decode(part + "==")
    others = [part[:-1] + char for char in ALPHABET if char != part[-1]]
    same = [other for other in others if urlsafe_b64decode(other + "==") == raw]
    assert len(same) == {0: 0, 2: 15, 3: 3}[len(part) % 4]
    assert CODEC.open(".".join(parts))

    for other in others:
        with pytest.raises(InvalidToken):
            CODEC.open(".".join([*parts[:place], other, *parts[place + 1 :]]))


@pytest.mark.requirement("TOK-2")
@pytest.mark.parametrize("place", [2, 3], ids=["body", "footer"])
@pytest.mark.parametrize(
    "char",
    [
        "+",
        "/",
        " ",
        "\n",
        "\r\n",
        "\t",
        "\0",
        "*",
        "%",
        "~",
        "\x7f",
        "é",
        "\ud800",
        "\uff21",
    ],
)
def test_a_character_outside_base64url_is_refused(place: int, char: str) -> None:
    """Lenient decoders skip some, and take others for those of plain base64."""
    parts = forge().split(".")
    part = parts[place]
    middle = len(part) // 2

    for bad in (
        char + part,
        part[:middle] + char + part[middle:],
        part[:middle] + char + part[middle + 1 :],
        part + char,
    ):
        with pytest.raises(InvalidToken):
            CODEC.open(".".join([*parts[:place], bad, *parts[place + 1 :]]))


@pytest.mark.requirement("TOK-2")
@given(st.text(ALPHABET + "=+/ \n*", max_size=24) | st.binary().map(encode_part))
@example("AA")
@example("AB")
@example("AAA")
@example("AAB")
@example("A")
def test_a_token_has_one_spelling(body: str) -> None:
    """What the key gets to see is exactly what stood in the token."""
    seen = []

    def see(raw: bytes, footer: bytes, assertion: bytes) -> bytes:
        seen.append(raw)
        return raw

    key = replace(LOCAL, overhead=-1, _open=see)
    codec = Codec(KeyRing.of([key]))
    try:
        codec.unseal(f"v4.local.{body}.{encode_part(key.footer)}")
    except InvalidToken:
        assert seen == []
        assert len(body) % 4 == 1 or not body or encode_part(lenient(body)) != body
    else:
        assert [encode_part(raw) for raw in seen] == [body]


def lenient(text: str) -> bytes:
    """Decode as the standard library does; nothing when even that refuses."""
    try:
        return urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        return b""


@pytest.mark.requirement("TOK-2")
@pytest.mark.parametrize("header", HEADERS)
def test_a_body_without_payload_is_refused(header: str) -> None:
    key = KEYS[header]
    codec = Codec(KeyRing.of([key]))

    for length in (0, 1, key.overhead - 1, key.overhead):
        body = encode_part(bytes(length))
        with pytest.raises(InvalidToken):
            codec.unseal(f"{header}.{body}.{encode_part(key.footer)}")
    with pytest.raises(InvalidToken):
        codec.unseal(forge(b"", key=key))
    assert codec.unseal(forge(b"1", key=key)).payload == b"1"


class Untouchable(str):
    """A text that says how long it is and nothing else."""

    def __getattribute__(self, name: str) -> Any:
        raise AssertionError("looked at before it was measured")


@pytest.mark.requirement("TOK-3")
def test_a_token_that_is_too_long_is_refused_before_any_decoding() -> None:
    token = forge()
    counting = CountingRing(LOCAL)
    exact = Codec(counting.ring, max_length=len(token))
    shorter = Codec(counting.ring, max_length=len(token) - 1)

    assert exact.open(token)
    assert counting.tries == 1
    with pytest.raises(InvalidToken):
        shorter.open(token)
    with pytest.raises(InvalidToken):
        CODEC.unseal(Untouchable("A" * 1_000_000))
    with pytest.raises(AssertionError):
        CODEC.unseal(Untouchable("A" * 8192))
    assert counting.tries == 1


def changes(token: str) -> Iterator[str]:
    """Give every change of one character at every position."""
    others = ALPHABET + ".=+ é"
    for place, old in enumerate(token):
        for new in others:
            if new != old:
                yield token[:place] + new + token[place + 1 :]


@pytest.mark.requirement("TOK-4")
@pytest.mark.parametrize("header", ["v4.local", "v4.public", "v3.local"])
def test_every_change_of_one_character_is_refused(header: str) -> None:
    codec = Codec(KeyRing.of(accepted=KEYS.values()), accept_missing_kid=True)
    token = forge(key=KEYS[header])
    assert codec.open(token)

    for changed in changes(token):
        with pytest.raises(InvalidToken):
            codec.open(changed)


@pytest.mark.requirement("TOK-4")
def test_every_change_of_one_character_is_refused_in_v3_public() -> None:
    """At every position the next character and another; P-384 is slow."""
    codec = Codec(KeyRing.of(accepted=KEYS.values()), accept_missing_kid=True)
    token = forge(key=KEYS["v3.public"])
    assert codec.open(token)

    for place, old in enumerate(token):
        at = ALPHABET.find(old)
        for new in (ALPHABET[(at + 1) % 64], ALPHABET[(at + 33) % 64]):
            with pytest.raises(InvalidToken):
                codec.open(token[:place] + new + token[place + 1 :])


@pytest.mark.requirement("TOK-4")
@pytest.mark.parametrize("header", HEADERS)
def test_a_character_lost_doubled_or_swapped_is_refused(header: str) -> None:
    codec = Codec(KeyRing.of(accepted=KEYS.values()), accept_missing_kid=True)
    token = forge(key=KEYS[header])
    assert codec.open(token)

    for at in range(len(token)):
        before, char, after = token[:at], token[at], token[at + 1 :]
        for changed in (before + after, before + char * 2 + after, before):
            with pytest.raises(InvalidToken):
                codec.open(changed)
        if after and after[0] != char:
            with pytest.raises(InvalidToken):
                codec.open(before + after[0] + char + after[1:])


# Keys


def many_keys(number: int) -> list[RingKey]:
    return [RingKey.of(generate_key()) for _ in range(number)]


@pytest.mark.requirement("KEY-3")
@pytest.mark.parametrize("number", [1, 1000])
@pytest.mark.parametrize("accept", [False, True], ids=["kid", "accept-missing-kid"])
def test_an_unknown_kid_tries_no_key_and_a_known_one_its_own(
    number: int, accept: bool
) -> None:
    keys = many_keys(number)
    counting = CountingRing(*keys)
    codec = Codec(counting.ring, accept_missing_kid=accept)
    (stranger,) = many_keys(1)

    for footer in (None, dump({"kid": stranger.key_id, "a": 1})):
        with pytest.raises(InvalidToken):
            codec.open(forge(footer=footer, key=stranger))
    assert counting.tries == 0
    assert codec.open(forge(key=keys[-1]))
    assert counting.tries == 1
    assert codec.open(forge(footer=dump({"a": 1, "kid": keys[0].key_id}), key=keys[0]))
    assert counting.tries == 2
    with pytest.raises(InvalidToken):
        codec.open(forge(footer=keys[0].footer, key=stranger))
    assert counting.tries == 3


@pytest.mark.requirement("KEY-3")
@pytest.mark.parametrize("number", [1, 1000])
def test_a_missing_kid_is_refused_without_trying_a_key(number: int) -> None:
    keys = many_keys(number)
    counting = CountingRing(*keys)
    codec = Codec(counting.ring)

    for footer in (b"", b"{}", b"text", dump({"a": 1}), dump({"KID": LOCAL.key_id})):
        with pytest.raises(InvalidToken):
            codec.open(forge(footer=footer, key=keys[0]))
    assert counting.tries == 0


@pytest.mark.requirement("KEY-3")
@pytest.mark.parametrize("accept", [False, True], ids=["kid", "accept-missing-kid"])
@pytest.mark.parametrize(
    "kid",
    [None, True, 1, 1.5, [], {}, ["{}"], "", "nobody", "{} ", " {}", "{}=", "\0"],
    ids=repr,
)
def test_an_ill_typed_or_damaged_kid_is_refused_without_trying_a_key(
    kid: Any, accept: bool
) -> None:
    counting = CountingRing(LOCAL)
    codec = Codec(counting.ring, accept_missing_kid=accept)
    if isinstance(kid, str):
        kid = kid.format(LOCAL.key_id)

    with pytest.raises(InvalidToken):
        codec.open(forge(footer=dump({"kid": kid})))
    assert counting.tries == 0


@pytest.mark.requirement("KEY-3")
@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize("kind", ["lid", "pid", "sid"])
def test_a_kid_of_the_wrong_kind_is_refused_without_trying_a_key(
    header: str, kind: str
) -> None:
    key = KEYS[header]
    right = f"k{header[1]}." + {"local": "lid", "public": "pid"}[key.purpose]
    counting = CountingRing(*KEYS.values())
    codec = Codec(counting.ring, accept_missing_kid=True)
    assert key.key_id.startswith(right + ".")

    for version in "34":
        given = f"k{version}.{kind}"
        if given == right:
            continue
        kid = key.key_id.replace(right, given)
        with pytest.raises(InvalidToken):
            codec.open(forge(footer=dump({"kid": kid}), key=key))
        assert counting.tries == 0
    assert codec.open(forge(key=key))


@pytest.mark.requirement("KEY-3")
def test_a_token_without_kid_is_tried_with_the_keys_of_its_header_alone() -> None:
    others = many_keys(3)
    counting = CountingRing(*KEYS.values(), *others)
    codec = Codec(counting.ring, accept_missing_kid=True)

    for footer in (b"", b"text", dump({"a": 1})):
        for tries, key in enumerate((LOCAL, *others), 1):
            counting.tries = 0
            claims = codec.open(forge(footer=footer, key=key))
            assert claims.key_id == key.key_id
            assert counting.tries == tries
    counting.tries = 0
    assert codec.open(forge(footer=b"", key=KEYS["v3.public"])).footer is None
    assert counting.tries == 1
    (stranger,) = many_keys(1)
    with pytest.raises(InvalidToken):
        codec.open(forge(footer=b"", key=stranger))
    assert counting.tries == 1 + 4


@pytest.mark.requirement("KEY-3")
def test_a_token_without_kid_of_a_header_without_keys_is_refused() -> None:
    counting = CountingRing(LOCAL)
    codec = Codec(counting.ring, accept_missing_kid=True)

    with pytest.raises(InvalidToken):
        codec.open(forge(footer=b"", key=KEYS["v4.public"]))
    assert counting.tries == 0


@pytest.mark.requirement("KEY-4")
def test_keys_addresses_and_paths_in_a_token_are_never_used(tmp_path: Any) -> None:
    key = generate_key()
    stranger = RingKey.of(key)
    path = tmp_path / "key"
    path.write_text(key.to_paserk())
    offers = {
        "wpk": key.to_paserk(),
        "jwk": key.to_paserk(),
        "jku": path.as_uri(),
        "x5u": str(path),
    }
    counting = CountingRing(LOCAL)
    codec = Codec(counting.ring, accept_missing_kid=True)

    for kid in (stranger.key_id, str(path), path.as_uri(), offers["wpk"]):
        with pytest.raises(InvalidToken):
            codec.open(forge(footer=dump({"kid": kid, **offers}), key=stranger))
    assert counting.tries == 0
    with pytest.raises(InvalidToken):
        codec.open(forge(footer=dump(offers), key=stranger))
    claims = codec.open(forge(footer=dump({"kid": LOCAL.key_id, **offers})))
    assert claims.key_id == LOCAL.key_id
    assert claims.footer == {"kid": LOCAL.key_id, **offers}


@pytest.mark.requirement("KEY-4")
def test_a_wrapped_key_in_a_footer_is_not_unwrapped() -> None:
    """A password-wrapped PASERK may ask for any amount of memory and time."""
    wrapped = "k4.local-pw." + encode_part(bytes(16) + b"\xff" * 80)

    for footer in ({"wpk": wrapped}, {"kid": wrapped}):
        with pytest.raises(InvalidToken):
            CODEC.open(forge(footer=dump(footer)))
    assert CODEC.open(forge(footer=dump({"kid": LOCAL.key_id, "wpk": wrapped})))


@pytest.mark.requirement("KEY-5")
@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize("cache", [None, VerifiedCache(8)], ids=["plain", "cached"])
def test_a_token_opens_only_with_its_own_implicit_assertion(
    header: str, cache: VerifiedCache | None
) -> None:
    codec = Codec(KeyRing.of([KEYS[header]]), cache=cache)
    bound, free = codec.seal(CLAIMS, assertion=b"tenant 1"), codec.seal(CLAIMS)

    for _ in range(2):
        assert codec.open(bound, b"tenant 1").wire == CLAIMS
        assert codec.open(free).wire == CLAIMS
        for token, assertion in (
            (bound, b""),
            (bound, b"tenant 2"),
            (bound, b"tenant 1 "),
            (free, b"tenant 1"),
        ):
            with pytest.raises(InvalidToken):
                codec.open(token, assertion)


@pytest.mark.requirement("KEY-5")
def test_a_ring_of_public_keys_verifies_and_issues_nothing() -> None:
    private = KEYS["v4.public"]
    public = replace(private, private=False)
    codec = Codec(KeyRing.of(accepted=[public]))

    assert codec.open(forge(key=private)).wire == CLAIMS
    with pytest.raises(ConfigurationError, match="PASETO_PRIVATE_KEY"):
        codec.seal(CLAIMS)
    with pytest.raises(ConfigurationError, match="PASETO_PRIVATE_KEY"):
        codec.seal(CLAIMS, purpose="public")
    with pytest.raises(ConfigurationError, match="PASETO_SECRET_KEY"):
        codec.seal(CLAIMS, purpose="local")


def test_the_purpose_says_which_key_issues() -> None:
    ring = KeyRing.of([LOCAL, KEYS["v4.public"]], purpose="public")
    codec = Codec(ring)

    assert codec.seal(CLAIMS).startswith("v4.public.")
    assert codec.seal(CLAIMS, purpose="public").startswith("v4.public.")
    assert codec.seal(CLAIMS, purpose="local").startswith("v4.local.")


@pytest.mark.parametrize(
    ("header", "purpose", "setting"),
    [
        ("v4.local", "public", "PASETO_PRIVATE_KEY"),
        ("v4.public", "local", "PASETO_SECRET_KEY"),
    ],
)
def test_a_purpose_without_a_key_is_a_fault_of_the_setup(
    header: str, purpose: Any, setting: str
) -> None:
    codec = Codec(KeyRing.of([KEYS[header]]))

    with pytest.raises(ConfigurationError, match=setting):
        codec.seal(CLAIMS, purpose=purpose)


# Footers


def footer_of(size: int) -> bytes:
    """Return a footer with the right kid of so many bytes."""
    frame = len(dump({"kid": LOCAL.key_id, "x": ""}))
    return dump({"kid": LOCAL.key_id, "x": "x" * (size - frame)})


def names(number: int) -> dict[str, Any]:
    """Return a footer with the right kid and so many names."""
    return {"kid": LOCAL.key_id, **{f"n{n}": n for n in range(number - 1)}}


@pytest.mark.requirement("FOOT-1")
def test_a_footer_of_one_kilobyte_is_read_and_a_longer_one_refused() -> None:
    counting = CountingRing(LOCAL)
    codec = Codec(counting.ring, accept_missing_kid=True)

    assert len(footer_of(1024)) == 1024
    assert codec.open(forge(footer=footer_of(1024))).footer
    assert codec.open(forge(footer=b"x" * 1024)).footer == "x" * 1024
    assert counting.tries == 2
    for footer in (footer_of(1025), b"x" * 1025):
        with pytest.raises(InvalidToken):
            codec.open(forge(footer=footer))
    assert counting.tries == 2


@pytest.mark.requirement("FOOT-1")
@pytest.mark.parametrize(
    "footer",
    [
        dump(names(9)),
        dump({"kid": LOCAL.key_id, "a": {}}),
        dump({"kid": LOCAL.key_id, "a": {"b": 1}}),
        dump({"kid": LOCAL.key_id, "a": []}),
        dump({"a": [[[[1]]]], "kid": LOCAL.key_id}),
        b'{"kid":"%s","kid":"%s"}' % ((LOCAL.key_id.encode(),) * 2),
        b'{"kid":"%s","a":1,"a":1}' % LOCAL.key_id.encode(),
        b'{"kid":"%s","k\\u0069d":"x"}' % LOCAL.key_id.encode(),
        b'{"kid":"%s","a":NaN}' % LOCAL.key_id.encode(),
        b'{"kid":"%s","a":1e999}' % LOCAL.key_id.encode(),
        b'{"kid":"%s","a":%s}' % (LOCAL.key_id.encode(), b"1" * 21),
        b'{"kid":"%s","a":"\\ud800"}' % LOCAL.key_id.encode(),
        b'{"kid":"%s","a":"\xff"}' % LOCAL.key_id.encode(),
        b'{"kid":"%s"}x' % LOCAL.key_id.encode(),
        b'{"kid":"%s"' % LOCAL.key_id.encode(),
        b'{"kid":"%s",}' % LOCAL.key_id.encode(),
        b"{" + b'"a":{' * 200,
        b"\xff",
        b"text \xed\xa0\x80",
    ],
    ids=range(19),
)
def test_a_footer_that_is_not_flat_and_strict_is_refused_before_any_key(
    footer: bytes,
) -> None:
    counting = CountingRing(LOCAL)

    for accept in (False, True):
        with pytest.raises(InvalidToken):
            Codec(counting.ring, accept_missing_kid=accept).open(forge(footer=footer))
    assert counting.tries == 0


@pytest.mark.requirement("FOOT-1")
@pytest.mark.parametrize(
    "footer",
    [
        names(8),
        {"kid": LOCAL.key_id, "a": None, "b": True, "c": 1, "d": 1.5, "é": "😀"},
        {"a": "", "kid": LOCAL.key_id},
    ],
    ids=["eight-names", "all-types", "kid-last"],
)
def test_a_flat_footer_is_read(footer: dict[str, Any]) -> None:
    raw = json.dumps(footer, ensure_ascii=False).encode()

    assert CODEC.open(forge(footer=raw)).footer == footer


@pytest.mark.requirement("FOOT-1")
@pytest.mark.parametrize("text", ["plain", "[1]", '"kid"', "null", "é", "1"])
def test_a_text_footer_is_legal_where_a_missing_kid_is(text: str) -> None:
    token = forge(footer=text.encode())

    claims = Codec(CODEC.ring, accept_missing_kid=True).open(token)

    assert claims.footer == text
    with pytest.raises(InvalidToken):
        CODEC.open(token)


@pytest.mark.requirement("FOOT-1")
@pytest.mark.parametrize("space", [" ", "\n", "\t", "\r\n"], ids=repr)
def test_white_space_before_a_json_footer_does_not_hide_its_kid(space: str) -> None:
    """RFC 8259 section 2 allows it, so it is JSON, and its rules hold."""
    codec = Codec(CODEC.ring, accept_missing_kid=True)
    (stranger,) = many_keys(1)
    kid = dump({"kid": LOCAL.key_id})

    found = codec.open(forge(footer=space.encode() + kid)).footer

    assert found == {"kid": LOCAL.key_id}
    for footer in (dump({"kid": stranger.key_id}), dump({"a": {}}), dump(names(9))):
        with pytest.raises(InvalidToken):
            codec.open(forge(footer=space.encode() + footer))


@pytest.mark.requirement("FOOT-1")
def test_a_footer_cannot_be_changed_by_who_reads_it() -> None:
    footer: Any = CODEC.open(CODEC.seal(CLAIMS, footer={"a": 1})).footer

    with pytest.raises(TypeError):
        footer["a"] = 2


@pytest.mark.requirement("FOOT-1")
def test_the_kid_is_always_merged_into_what_is_issued() -> None:
    mine = {"a": 1, "kid": "mine"}

    claims = CODEC.open(CODEC.seal(CLAIMS, footer=mine))

    assert claims.footer == {"a": 1, "kid": LOCAL.key_id}
    assert mine == {"a": 1, "kid": "mine"}
    assert CODEC.open(CODEC.seal(CLAIMS, footer={})).footer == {"kid": LOCAL.key_id}


@pytest.mark.requirement("FOOT-1")
@pytest.mark.parametrize(
    ("footer", "refusal"),
    [
        ({"a": {}}, ValueError),
        ({"a": []}, ValueError),
        ({"a": "x" * 1024}, ValueError),
        ({f"n{n}": n for n in range(8)}, ValueError),
        ({"a": float("nan")}, ValueError),
        ({"a": 10**20}, ValueError),
        ({"a": "\ud800"}, ValueError),
        ({"a": b""}, TypeError),
        ({"a": object()}, TypeError),
        ("text", TypeError),
        (["kid"], TypeError),
    ],
    ids=range(11),
)
def test_a_footer_that_would_be_refused_is_not_issued(
    footer: Any, refusal: type[Exception]
) -> None:
    with pytest.raises(refusal):
        CODEC.seal(CLAIMS, footer=footer)


@pytest.mark.requirement("FOOT-1")
def test_a_footer_at_its_limits_is_issued() -> None:
    frame = len(dump({"x": "", "kid": LOCAL.key_id}))
    longest = {"x": "x" * (1024 - frame)}
    most = {f"n{n}": n for n in range(7)}

    for footer in (longest, most):
        opened = CODEC.open(CODEC.seal(CLAIMS, footer=footer))
        assert opened.footer == {**footer, "kid": LOCAL.key_id}
    with pytest.raises(ValueError, match="footer"):
        CODEC.seal(CLAIMS, footer={"x": longest["x"] + "x"})


# Payloads


def nested(levels: int) -> dict[str, Any]:
    """Return claims of so many levels, the claims themselves being the first."""
    value: Any = 1
    for level in range(levels - 1):
        value = [value] if level % 2 else {"a": value}
    return {**CLAIMS, "x": value}


JSON_CLAIMS = dump(CLAIMS)


@pytest.mark.requirement("JSON-1")
@pytest.mark.parametrize(
    "payload",
    {
        "list": b"[" + JSON_CLAIMS + b"]",
        "text": b'"alice"',
        "number": b"1",
        "null": b"null",
        "nothing": b" ",
        "bom": b"\xef\xbb\xbf" + JSON_CLAIMS,
        "utf-16": JSON_CLAIMS.decode().encode("utf-16"),
        "utf-16-le": JSON_CLAIMS.decode().encode("utf-16-le"),
        "utf-32": JSON_CLAIMS.decode().encode("utf-32"),
        "not-utf-8": JSON_CLAIMS.replace(b"alice", b"\xff"),
        "overlong-utf-8": JSON_CLAIMS.replace(b"alice", b"\xc0\xaf"),
        "raw-surrogate": JSON_CLAIMS.replace(b"alice", b"\xed\xa0\x80"),
        "lone-surrogate": JSON_CLAIMS.replace(b"alice", b"\\ud800"),
        "lone-surrogate-name": JSON_CLAIMS[:-1] + b',"\\udfff":1}',
        "lone-surrogate-deep": JSON_CLAIMS[:-1] + b',"x":[{"y":["\\uDC00"]}]}',
        "nan": JSON_CLAIMS[:-1] + b',"x":NaN}',
        "infinity": JSON_CLAIMS[:-1] + b',"x":Infinity}',
        "minus-infinity": JSON_CLAIMS[:-1] + b',"x":[-Infinity]}',
        "float-overflow": JSON_CLAIMS[:-1] + b',"x":1e999}',
        "float-underflow-sign": JSON_CLAIMS[:-1] + b',"x":-1e999}',
        "giant-integer": JSON_CLAIMS[:-1] + b',"x":' + b"9" * 21 + b"}",
        "huge-integer": JSON_CLAIMS[:-1] + b',"x":' + b"9" * 5000 + b"}",
        "twice": JSON_CLAIMS[:-1] + b',"sub":"alice"}',
        "twice-escaped": JSON_CLAIMS[:-1] + b',"s\\u0075b":"mallory"}',
        "twice-deep": JSON_CLAIMS[:-1] + b',"x":[{"y":{"z":1,"z":1}}]}',
        "more": JSON_CLAIMS + b"{}",
        "rubbish-after": JSON_CLAIMS + b"x",
        "vertical-tab": b"\x0b" + JSON_CLAIMS,
        "no-break-space": b"\xc2\xa0" + JSON_CLAIMS,
        "control-character": JSON_CLAIMS.replace(b"alice", b"a\nb"),
        "single-quotes": JSON_CLAIMS.replace(b'"', b"'"),
        "comma-at-the-end": JSON_CLAIMS[:-1] + b",}",
        "comment": JSON_CLAIMS[:-1] + b"/**/}",
        "not-closed": JSON_CLAIMS[:-1],
        "leading-zero": JSON_CLAIMS[:-1] + b',"x":01}',
        "seventeen-levels": dump(nested(17)),
        "100000-levels": b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        "100000-levels-open": b'{"x":' * 100_000,
    }.items(),
    ids=lambda item: item[0],
)
def test_a_payload_that_is_not_strict_json_is_refused(
    payload: tuple[str, bytes],
) -> None:
    codec = Codec(CODEC.ring, max_length=2_000_000)

    with pytest.raises(InvalidToken):
        codec.open(forge(payload[1]))


@pytest.mark.requirement("JSON-1")
@pytest.mark.parametrize(
    ("payload", "claims"),
    [
        (b" \t\r\n" + JSON_CLAIMS + b" \r\n", CLAIMS),
        (JSON_CLAIMS.replace(b"alice", b"\\u0061lice"), CLAIMS),
        (JSON_CLAIMS.replace(b"alice", b"\\ud83d\\ude00"), {**CLAIMS, "sub": "😀"}),
        (JSON_CLAIMS.replace(b"alice", "😀".encode()), {**CLAIMS, "sub": "😀"}),
        (JSON_CLAIMS[:-1] + b',"x":' + b"9" * 20 + b"}", {**CLAIMS, "x": 10**20 - 1}),
        (JSON_CLAIMS[:-1] + b',"x":-0.5e2}', {**CLAIMS, "x": -50.0}),
        (JSON_CLAIMS[:-1] + b',"x":[{},[],null]}', {**CLAIMS, "x": [{}, [], None]}),
        (JSON_CLAIMS[:-1] + b',"":{"sub":1}}', {**CLAIMS, "": {"sub": 1}}),
        (dump(nested(16)), nested(16)),
    ],
    ids=range(9),
)
def test_a_payload_of_strict_json_is_read(
    payload: bytes, claims: dict[str, Any]
) -> None:
    assert thaw(CODEC.open(forge(payload)).wire) == claims


def test_nothing_in_claims_can_be_changed() -> None:
    claims = CODEC.open(with_claims(x={"y": [{"z": [1]}]}, aud=["a", "b"]))

    assert claims["x"]["y"][0]["z"] == (1,)
    assert claims.audience == ("a", "b")
    mappings: tuple[Any, ...] = (claims.wire, claims["x"], claims["x"]["y"][0])
    for mapping in mappings:
        with pytest.raises(TypeError):
            mapping["y"] = 2
    with pytest.raises(FrozenInstanceError):
        claims.fresh = True  # type: ignore[misc]


@pytest.mark.requirement("CLM-1")
@pytest.mark.parametrize("name", ["sub", "type", "jti", "iat"])
@pytest.mark.parametrize(
    "value", [..., None, True, 1, 1.5, [], ["a"], {}, {"a": "b"}], ids=repr
)
def test_a_claim_that_is_missing_or_ill_typed_is_refused(name: str, value: Any) -> None:
    with pytest.raises(InvalidClaims):
        CODEC.open(with_claims(**{name: value}))


@pytest.mark.requirement("CLM-1")
@pytest.mark.parametrize(
    "name", ["exp", "nbf", "auth_time", "sid", "iss", "scope", "aud", "fresh"]
)
@pytest.mark.parametrize("value", [None, 1, 1.5, [], [1], {}, ["a", 1]], ids=repr)
def test_a_claim_that_may_be_left_out_is_refused_when_ill_typed(
    name: str, value: Any
) -> None:
    assert CODEC.open(with_claims(**{name: ...}))
    with pytest.raises(InvalidClaims):
        CODEC.open(with_claims(**{name: value}))


@pytest.mark.requirement("CLM-1")
@pytest.mark.parametrize("name", ["sub", "type", "jti", "sid", "iss", "iat"])
def test_an_empty_claim_is_refused(name: str) -> None:
    with pytest.raises(InvalidClaims):
        CODEC.open(with_claims(**{name: ""}))


def test_an_empty_scope_is_no_scope() -> None:
    assert CODEC.open(with_claims(scope="")).scopes == frozenset()
    assert CODEC.open(with_claims(scope=" a  b ")).scopes == {"a", "b"}
    assert CODEC.open(with_claims(scope="a\tb\u00a0c")).scopes == {"a\tb\u00a0c"}


def test_every_claim_comes_back_under_its_name() -> None:
    later = "2026-01-01T00:05:00Z"
    claims = CODEC.open(
        with_claims(
            sid="session",
            iss="issuer",
            aud="api",
            scope="read write",
            nbf=later,
            auth_time="2025-12-31T23:00:00Z",
            fresh=later,
            mine=[1],
        )
    )

    assert claims.subject == "alice"
    assert claims.token_type == "access"
    assert claims.jti == CLAIMS["jti"]
    assert claims.session_id == "session"
    assert claims.issuer == "issuer"
    assert claims.audience == ("api",)
    assert claims.scopes == {"read", "write"}
    assert claims.not_before == datetime(2026, 1, 1, 0, 5, tzinfo=UTC)
    assert claims.auth_time == datetime(2025, 12, 31, 23, tzinfo=UTC)
    assert claims.fresh == datetime(2026, 1, 1, 0, 5, tzinfo=UTC)
    assert claims["mine"] == (1,)
    assert claims.get("mine") == (1,)
    assert claims.get("absent") is None
    assert claims.get("absent", 1) == 1
    with pytest.raises(KeyError):
        claims["absent"]


@pytest.mark.parametrize("fresh", [True, False])
def test_fresh_may_be_true_or_false(fresh: bool) -> None:
    assert CODEC.open(with_claims(fresh=fresh)).fresh is fresh


DATES = ["iat", "exp", "nbf", "auth_time", "fresh"]


@pytest.mark.requirement("TIME-1")
@pytest.mark.parametrize("name", DATES)
@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-01-01",
        "2026-01-01T00:00Z",
        "2026-01-01T00Z",
        "2026-01-01T00:00:00",
        "2026-01-01T00:00:00.5",
        "2026-01-01t00:00:00Z",
        "2026-01-01 00:00:00Z",
        "2026-01-01_00:00:00Z",
        "2026-01-01T00:00:00z",
        "2026-01-01T24:00:00Z",
        "2026-01-01T00:60:00Z",
        "2026-01-01T00:00:60Z",
        "2026-12-31T23:59:60Z",
        "2026-13-01T00:00:00Z",
        "2026-00-01T00:00:00Z",
        "2026-02-29T00:00:00Z",
        "2026-01-32T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "10000-01-01T00:00:00Z",
        "+2026-01-01T00:00:00Z",
        "-2026-01-01T00:00:00Z",
        "2026-01-01T00:00:00.Z",
        "2026-01-01T00:00:00,5Z",
        "2026-01-01T00:00:00.1234567890Z",
        "2026-01-01T00:00:00.0000000000Z",
        "2026-01-01T00:00:00+00",
        "2026-01-01T00:00:00+0000",
        "2026-01-01T00:00:00+24:00",
        "2026-01-01T00:00:00+00:60",
        "2026-01-01T00:00:00+00:00:01",
        "2026-01-01T00:00:00 +00:00",
        "2026-01-01T00:00:00\u221200:00",
        "2026-01-01T00:00:00UTC",
        "2026-01-01T00:00:00ZZ",
        " 2026-01-01T00:00:00Z",
        "2026-01-01T00:00:00Z ",
        "2026-01-01T00:00:00Z\n",
        "2026-01-01T00:00:00Z\0",
        "20260101T000000Z",
        "2026-W01-1T00:00:00Z",
        "2026-001T00:00:00Z",
        "\u0662\u0660\u0662\u0666-01-01T00:00:00Z",
        "2026-01-01T00:00:0\uff10Z",
        "2026-01-01T00:00:00.\u0665Z",
        "1767225600",
        "now",
    ],
    ids=ascii,
)
def test_a_date_in_any_other_form_is_refused(name: str, text: str) -> None:
    with pytest.raises(InvalidClaims):
        CODEC.open(with_claims(**{name: text}))


@pytest.mark.requirement("TIME-1")
@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-01T00:00:00Z", datetime(2026, 1, 1, tzinfo=UTC)),
        ("2026-01-01T23:59:59Z", datetime(2026, 1, 1, 23, 59, 59, tzinfo=UTC)),
        ("2024-02-29T00:00:00Z", datetime(2024, 2, 29, tzinfo=UTC)),
        ("2026-01-01T00:00:00+00:00", datetime(2026, 1, 1, tzinfo=UTC)),
        ("2026-01-01T00:00:00-00:00", datetime(2026, 1, 1, tzinfo=UTC)),
        ("2026-01-01T05:30:00+05:30", datetime(2026, 1, 1, tzinfo=UTC)),
        ("2025-12-31T00:01:00-23:59", datetime(2026, 1, 1, tzinfo=UTC)),
        ("2026-01-01T00:00:00.5Z", datetime(2026, 1, 1, 0, 0, 0, 500_000, UTC)),
        ("2026-01-01T00:00:00.000001Z", datetime(2026, 1, 1, 0, 0, 0, 1, UTC)),
        ("2026-01-01T00:00:00.123456789Z", datetime(2026, 1, 1, 0, 0, 0, 123_456, UTC)),
        ("0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC)),
        ("9999-12-31T23:59:59Z", datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
        (
            "0001-01-01T00:00:00+23:59",
            datetime(1, 1, 1, tzinfo=timezone(timedelta(minutes=1439))),
        ),
        (
            "9999-12-31T23:59:59.999999-23:59",
            datetime.max.replace(tzinfo=timezone(-timedelta(minutes=1439))),
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_date_of_rfc_3339_is_read(text: str, moment: datetime) -> None:
    claims = CODEC.open(
        with_claims(iat=text, exp=text, nbf=text, auth_time=text, fresh=text)
    )

    for found in (
        claims.issued_at,
        claims.expires_at,
        claims.not_before,
        claims.auth_time,
        claims.fresh,
    ):
        assert isinstance(found, datetime)
        assert found == moment
        assert found.utcoffset() is not None


# Issuing

TEXTS = st.text(max_size=12)
NUMBERS = st.integers(-(10**19) + 1, 10**20 - 1)
SCALARS = st.none() | st.booleans() | NUMBERS | st.floats(allow_nan=False) | TEXTS
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4)
    ),
    max_leaves=12,
)
OUR_NAMES = frozenset(
    [
        "sub",
        "type",
        "jti",
        "sid",
        "iat",
        "exp",
        "nbf",
        "auth_time",
        "fresh",
        "iss",
        "aud",
        "scope",
        "csrf",
    ]
)
OWN_NAMES = TEXTS.filter(lambda name: name not in OUR_NAMES)


@pytest.mark.requirement("ISS-1")
@given(
    extra=st.dictionaries(OWN_NAMES, VALUES, max_size=5),
    footer=st.dictionaries(
        TEXTS.filter(lambda name: name != "kid"), SCALARS, max_size=9
    ),
    subject=st.text(min_size=1),
    assertion=st.binary(max_size=8),
    header=st.sampled_from(HEADERS),
)
def test_whatever_is_sealed_opens_again_with_equal_claims(
    extra: dict[str, Any],
    footer: dict[str, Any],
    subject: str,
    assertion: bytes,
    header: str,
) -> None:
    codec = Codec(KeyRing.of([KEYS[header]]))
    payload = {**CLAIMS, "sub": subject, **extra}
    before = json.dumps([payload, footer])
    infinite = "Infinity" in json.dumps([[*extra.values()], [*footer.values()]])
    try:
        token = codec.seal(payload, footer=footer, assertion=assertion)
    except ValueError:
        big = len(json.dumps(footer, ensure_ascii=False).encode()) > 900
        assert infinite or big or len(footer) > 7 or deep(payload) > 16
    else:
        claims = codec.open(token, assertion)
        assert thaw(claims.wire) == payload
        assert claims.footer == {**footer, "kid": KEYS[header].key_id}
    assert json.dumps([payload, footer]) == before


def deep(value: Any) -> int:
    if isinstance(value, dict):
        value = list(value.values())
    return 1 + max(map(deep, value), default=0) if isinstance(value, list) else 0


@pytest.mark.requirement("ISS-1")
@hypothesis_settings(max_examples=50)
@given(
    extra=st.dictionaries(OWN_NAMES, VALUES, max_size=5),
    subject=st.text(min_size=1) | st.integers() | st.uuids(),
    fresh=st.booleans() | st.integers(1, 10**6),
    lifetime=st.integers(1, 90 * 86400),
)
def test_whatever_is_issued_passes_our_own_verification(
    app: Flask, extra: dict[str, Any], subject: Any, fresh: Any, lifetime: int
) -> None:
    with app.app_context():
        try:
            token = create_access_token(
                subject, fresh=fresh, expires_in=lifetime, user_claims=extra
            )
        except ValueError:
            assert "Infinity" in json.dumps(extra) or deep(extra) > 16
            return
        claims = decode_token(token)

    assert claims.subject == str(subject)
    assert {n: thaw(v) for n, v in claims.wire.items() if n not in OUR_NAMES} == extra
    assert claims.expires_at == claims.issued_at + timedelta(seconds=lifetime)
    for name in ("iat", "exp"):
        assert claims[name].endswith("Z")


@pytest.mark.requirement("ISS-1")
@pytest.mark.parametrize(
    "names",
    [{1: "a"}, {None: "a"}, {True: "a"}, {"x": {1: "a"}}, {"x": [{1.5: "a"}]}],
    ids=repr,
)
def test_a_name_that_is_no_text_is_not_sealed(names: dict[Any, Any]) -> None:
    """JSON would make a text of it, and the claims would come back as others."""
    with pytest.raises((TypeError, ValueError)):
        CODEC.seal({**CLAIMS, **names})


@pytest.mark.requirement("ISS-1")
@pytest.mark.parametrize(
    ("extra", "refusal"),
    [
        ({"x": float("nan")}, ValueError),
        ({"x": float("inf")}, ValueError),
        ({"x": 10**20}, ValueError),
        ({"x": "\ud800"}, ValueError),
        ({"\udfff": 1}, ValueError),
        ({"x": {"1": 1, 1: 2}}, ValueError),
        ({"x": nested(16)}, ValueError),
        ({"sub": ""}, ValueError),
        ({"sub": 1}, ValueError),
        ({"iat": "yesterday"}, ValueError),
        ({"aud": []}, ValueError),
        ({"x": b""}, TypeError),
        ({"x": {1, 2}}, TypeError),
        ({"x": datetime(2026, 1, 1, tzinfo=UTC)}, TypeError),
    ],
    ids=range(14),
)
def test_what_would_be_refused_is_not_sealed(
    extra: dict[str, Any], refusal: type[Exception]
) -> None:
    with pytest.raises(refusal):
        CODEC.seal({**CLAIMS, **extra})


@pytest.mark.requirement("ISS-1")
def test_endless_nesting_is_not_sealed() -> None:
    circular: list[Any] = []
    circular.append(circular)
    endless: list[Any] = []
    for _ in range(100_000):
        endless = [endless]

    for value in (circular, endless):
        with pytest.raises(ValueError, match=r"levels|[Cc]ircular"):
            CODEC.seal({**CLAIMS, "x": value})


def test_a_token_that_would_be_too_long_is_not_sealed() -> None:
    token = CODEC.seal(CLAIMS)

    assert Codec(CODEC.ring, max_length=len(token)).seal(CLAIMS)
    with pytest.raises(ValueError, match="PASETO_MAX_TOKEN_LENGTH"):
        Codec(CODEC.ring, max_length=len(token) - 1).seal(CLAIMS)


def test_what_was_checked_before_is_sealed_without_a_second_look() -> None:
    token = CODEC.seal(CLAIMS, read_back=False)

    assert CODEC.open(token).wire == CLAIMS
    with pytest.raises(ValueError, match="footer"):
        CODEC.seal(CLAIMS, footer={"a": []}, read_back=False)
    with pytest.raises(ValueError, match="surrogate"):
        CODEC.seal({**CLAIMS, "sub": "\ud800"}, read_back=False)


def test_no_two_tokens_of_the_same_claims_are_equal() -> None:
    for header in ("v4.local", "v3.local"):
        codec = Codec(KeyRing.of([KEYS[header]]))
        assert codec.seal(CLAIMS) != codec.seal(CLAIMS)


# The cache


def test_a_cached_token_does_not_try_its_key_again() -> None:
    counting = CountingRing(LOCAL)
    codec = Codec(counting.ring, cache=VerifiedCache(8))
    token = forge()

    first = codec.open(token)
    assert codec.open(token) is first
    assert counting.tries == 1


def test_a_refused_token_is_not_cached() -> None:
    counting = CountingRing(LOCAL)
    codec = Codec(counting.ring, cache=VerifiedCache(8))
    (stranger,) = many_keys(1)

    for tries in (1, 2):
        with pytest.raises(InvalidToken):
            codec.open(forge(footer=LOCAL.footer, key=stranger))
        assert counting.tries == tries


@pytest.mark.requirement("TOK-3")
def test_a_token_that_is_too_long_is_not_looked_up_in_the_cache() -> None:
    cache = VerifiedCache(8)
    token = forge()
    assert Codec(CODEC.ring, cache=cache).open(token)

    with pytest.raises(InvalidToken):
        Codec(CODEC.ring, max_length=len(token) - 1, cache=cache).open(token)
    with pytest.raises(InvalidToken):
        Codec(CODEC.ring, cache=cache).open(Untouchable("A" * 1_000_000))


def test_the_cache_keeps_no_more_than_its_size() -> None:
    counting = CountingRing(LOCAL)
    codec = Codec(counting.ring, cache=VerifiedCache(4))
    tokens = [forge() for _ in range(5)]

    for token in tokens:
        codec.open(token)
    assert counting.tries == 5
    for token in reversed(tokens[2:]):
        codec.open(token)
    assert counting.tries == 5
    codec.open(tokens[0])
    assert counting.tries == 6


def test_the_cache_keeps_what_is_used() -> None:
    counting = CountingRing(LOCAL)
    codec = Codec(counting.ring, cache=VerifiedCache(4))
    used = forge()
    codec.open(used)

    for _ in range(20):
        codec.open(forge())
        codec.open(used)
    assert counting.tries == 21


def test_a_cache_of_one_works() -> None:
    codec = Codec(CODEC.ring, cache=VerifiedCache(1))

    for _ in range(3):
        assert codec.open(forge()).wire == CLAIMS


# Whatever comes

ONE = forge()  # authentic, so that some of what is made up opens
PIECES = st.sampled_from(
    ["v4", "v3", "v1", "local", "public", ".", "=", "AAAA", "{}", "\0", "\ud800", "é"]
    + [encode_part(key.footer) for key in KEYS.values()]
    + ONE.split(".")
)
HOSTILE = (
    st.text(st.characters(), max_size=300)
    | st.text(ALPHABET + ".=", max_size=300)
    | st.lists(PIECES, max_size=12).map("".join)
    | st.lists(PIECES | st.text(ALPHABET, max_size=90), max_size=5).map(".".join)
)


@pytest.mark.requirement("LIFE-1")
@hypothesis_settings(max_examples=500)
@given(HOSTILE, st.booleans())
@example(ONE, False)
def test_nothing_but_our_refusals_leaves_the_codec_for_any_text(
    token: str, accept: bool
) -> None:
    ring = KeyRing.of(accepted=KEYS.values())
    codec = Codec(ring, accept_missing_kid=accept, cache=VerifiedCache(2))
    try:
        codec.open(token)
    except PasetoError as refusal:
        found: PasetoError | None = refusal
    else:
        found = None
    if found is None:
        assert token == ONE
    else:
        assert type(found) is InvalidToken
        assert found.__cause__ is None
        assert found.__context__ is None or found.__suppress_context__


@pytest.mark.requirement("LIFE-1")
@hypothesis_settings(max_examples=300)
@given(
    payload=st.binary(max_size=60)
    | VALUES.map(dump)
    | st.dictionaries(st.sampled_from(sorted(OUR_NAMES)), VALUES).map(
        lambda claims: dump({**CLAIMS, **claims})
    ),
    footer=st.binary(max_size=60)
    | st.dictionaries(TEXTS | st.just("kid"), VALUES, max_size=3).map(dump),
    header=st.sampled_from(HEADERS),
)
def test_nothing_but_our_refusals_leaves_the_codec_for_any_authentic_content(
    payload: bytes, footer: bytes, header: str
) -> None:
    ring = KeyRing.of(accepted=KEYS.values())
    codec = Codec(ring, accept_missing_kid=True)
    try:
        claims = codec.open(forge(payload, footer, key=KEYS[header]))
    except PasetoError as refusal:
        found = refusal
    else:
        assert isinstance(claims, Claims)
        assert claims.subject
        return
    assert type(found) in (InvalidToken, InvalidClaims)
    # What was raised inside knows the payload; error trackers print it.
    assert found.__context__ is None


@pytest.mark.requirement("LIFE-1")
def test_whatever_the_cryptography_raises_is_a_refusal_without_its_cause() -> None:
    def broken(*args: bytes) -> bytes:
        raise RuntimeError("the payload was: secret")

    codec = Codec(KeyRing.of([replace(LOCAL, _open=broken)]))

    with pytest.raises(InvalidToken) as refused:
        codec.open(forge())
    assert "secret" not in str(refused.value)
    assert refused.value.__cause__ is None
    assert refused.value.__context__ is None


@pytest.mark.requirement("KEY-6")
@pytest.mark.parametrize(
    "show", [repr, str, "{!r}".format], ids=["repr", "str", "format"]
)
def test_a_codec_and_its_cache_show_no_token_and_no_claim(
    show: Callable[[object], str],
) -> None:
    codec = Codec(CODEC.ring, cache=VerifiedCache(4))
    token = forge()
    claims = codec.open(token)
    shown = show(codec) + show(codec.cache) + show(claims)

    assert PASETO_KEYS["v4.local"].to_paserk().rpartition(".")[2] not in shown
    assert token not in shown
    assert "alice" not in shown


@pytest.mark.requirement("TOK-2")
@pytest.mark.parametrize(
    "junk", ["====", "    ", "~~~~", "\n\n\n\n", "\0\0\0\0", "++++"]
)
def test_characters_put_in_by_fours_do_not_go_unseen(junk: str) -> None:
    """A lenient decoder skips what is not of its alphabet, and the groups still fit."""
    junk *= 4
    codec = Codec(KeyRing.of([RingKey.of(generate_key())]))
    token = codec.seal(
        {"sub": "a", "type": "access", "jti": "j", "iat": "2026-01-01T00:00:00Z"}
    )
    assert codec.open(token).subject == "a"
    header, body, footer = token[:9], token[9:].partition(".")[0], token.rpartition(".")
    for place in range(0, len(body) + 1, 4):
        with pytest.raises(InvalidToken):
            codec.open(f"{header}{body[:place]}{junk}{body[place:]}.{footer[2]}")
    for place in range(0, len(footer[2]) + 1, 4):
        with pytest.raises(InvalidToken):
            codec.open(f"{footer[0]}.{footer[2][:place]}{junk}{footer[2][place:]}")
