"""From `PASETO_SECRET_KEY` and its like to the ring."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flask_paseto import ConfigurationError, InvalidToken
from flask_paseto.codec import Codec
from flask_paseto.keys import (
    KEY_SETTINGS,
    KeyRing,
    RingKey,
    generate_key,
    public_half,
)
from flask_paseto.keys.settings import read_ring

SECRET = generate_key().to_paserk()
FORMER = generate_key().to_paserk()
PAIR = generate_key(4, "public")
PRIVATE, PUBLIC = PAIR.to_paserk(), public_half(PAIR).to_paserk()
NIST = generate_key(3, "public")
OTHER_PUBLIC = public_half(generate_key(4, "public")).to_paserk()
RAW = hashlib.sha256(b"thirty-two bytes without any order").digest()
TEXT = "correct horse battery staple zebra"
FORMER_TEXT = "a quick brown fox jumps over dogs"
PAYLOAD = {"sub": "a", "type": "access", "jti": "1", "iat": "2026-01-01T00:00:00Z"}
KEYGEN = "make one with: flask paseto keygen"


def read(settings: dict[str, Any], **options: Any) -> tuple[KeyRing, list[str]]:
    """Return the ring of these settings, and what is wrong with them."""
    faults: list[str] = []
    ring = read_ring(settings, faults, **options)
    assert ring.by_id or not ring.issuing
    return ring, faults


def ring_of(settings: dict[str, Any], **options: Any) -> KeyRing:
    """Return the ring of settings with which nothing is wrong."""
    ring, faults = read(settings, **options)
    assert faults == []
    return ring


def fault_of(settings: dict[str, Any], **options: Any) -> str:
    """Return the one fault of these settings."""
    _, faults = read(settings, **options)
    assert len(faults) == 1, faults
    return faults[0]


def id_of(paserk: str) -> str:
    """Return the id of a key as its own ring knows it."""
    kind = "PRIVATE" if ".secret." in paserk else "SECRET"
    if ".public." in paserk:
        (key_id,) = ring_of({"PASETO_PUBLIC_KEY": paserk}).by_id
    else:
        (key_id,) = ring_of({f"PASETO_{kind}_KEY": paserk}).by_id
    return key_id


def issuer_of(ring: KeyRing) -> str | None:
    return None if ring.purpose is None else ring.issuing[ring.purpose].key_id


# One key


@pytest.mark.requirement("KEY-1")
@pytest.mark.parametrize(
    ("value", "version", "header"),
    [
        (SECRET, 4, "v4.local"),
        (SECRET, 3, "v4.local"),
        (generate_key(3).to_paserk(), 4, "v3.local"),
        (TEXT, 4, "v4.local"),
        (TEXT, 3, "v3.local"),
        (RAW, 4, "v4.local"),
        (RAW, 3, "v3.local"),
    ],
    ids=range(7),
)
def test_a_secret_key_issues_and_opens_local_tokens(
    value: Any, version: int, header: str
) -> None:
    ring = ring_of({"PASETO_SECRET_KEY": value}, version=version)

    token = Codec(ring).seal(PAYLOAD)
    assert token.startswith(header + ".")
    assert Codec(ring).open(token).key_id == issuer_of(ring)
    assert ring.purpose == "local"


@pytest.mark.requirement("KEY-5")
@pytest.mark.parametrize("pair", [PAIR, NIST], ids=["v4", "v3"])
def test_a_private_key_signs_what_its_public_key_alone_verifies(pair: Any) -> None:
    signer = Codec(ring_of({"PASETO_PRIVATE_KEY": pair.to_paserk()}))
    public = public_half(pair).to_paserk()
    verifier = Codec(ring_of({"PASETO_PUBLIC_KEY": public}))

    token = signer.seal(PAYLOAD)

    assert token.startswith(f"v{pair.version}.public.")
    assert signer.open(token).subject == verifier.open(token).subject == "a"
    assert verifier.ring.purpose is None
    assert verifier.ring.issuing == {}
    for purpose in (None, "public", "local"):
        with pytest.raises(ConfigurationError):
            verifier.seal(PAYLOAD, purpose=purpose)


@pytest.mark.requirement("KEY-5")
def test_public_keys_alone_never_bring_in_the_secret_of_flask() -> None:
    """Otherwise an app that only verifies would issue, and open, tokens of its own."""
    for name, value in (("PUBLIC_KEY", PUBLIC), ("PUBLIC_KEYS", [PUBLIC])):
        ring = ring_of({f"PASETO_{name}": value, "SECRET_KEY": TEXT})
        assert set(ring.by_id) == {id_of(PUBLIC)}
        assert ring.purpose is None
        own = Codec(ring_of({"SECRET_KEY": TEXT})).seal(PAYLOAD)
        with pytest.raises(InvalidToken):
            Codec(ring, accept_missing_kid=True).open(own)


@pytest.mark.requirement("KEY-1")
def test_the_secret_of_flask_is_derived_and_used_without_any_key_setting() -> None:
    ring = ring_of({"SECRET_KEY": TEXT})
    same = ring_of({"PASETO_SECRET_KEY": TEXT})

    assert ring.purpose == "local"
    assert issuer_of(ring) == issuer_of(same)
    assert Codec(ring).seal(PAYLOAD).startswith("v4.local.")
    assert issuer_of(ring_of({"SECRET_KEY": TEXT.encode()})) == issuer_of(ring)
    three = ring_of({"SECRET_KEY": TEXT}, version=3)
    assert Codec(three).seal(PAYLOAD).startswith("v3.local.")
    assert issuer_of(ring_of({"SECRET_KEY": TEXT}, manager="admin")) != issuer_of(ring)


@pytest.mark.requirement("KEY-1")
def test_the_secret_of_flask_is_always_derived() -> None:
    """Flask signs its session with it, so the bytes themselves are never the key."""
    raw = RAW

    derived = issuer_of(ring_of({"SECRET_KEY": raw}))
    taken = issuer_of(ring_of({"PASETO_SECRET_KEY": raw}))
    assert derived != taken
    assert fault_of({"SECRET_KEY": SECRET}).startswith("Flask's SECRET_KEY ")


@pytest.mark.requirement("KEY-1")
def test_any_key_setting_keeps_the_secret_of_flask_out() -> None:
    flask = {"SECRET_KEY": TEXT, "SECRET_KEY_FALLBACKS": [FORMER_TEXT]}

    for settings in (
        {"PASETO_SECRET_KEY": SECRET},
        {"PASETO_PRIVATE_KEY": PRIVATE},
        {"PASETO_PUBLIC_KEY": PUBLIC},
    ):
        assert set(ring_of(settings | flask).by_id) == set(ring_of(settings).by_id)


@pytest.mark.requirement("KEY-1")
def test_a_key_setting_that_is_empty_is_a_fault_and_no_reason_to_fall_back() -> None:
    """An environment variable that is missing must not change who is let in."""
    flask = {"SECRET_KEY": TEXT}

    for name in ("SECRET_KEY", "PRIVATE_KEY", "PUBLIC_KEY"):
        for value in (None, "", b""):
            fault = fault_of({f"PASETO_{name}": value, **flask})
            assert fault.startswith(f"PASETO_{name} is empty")
            assert ("--purpose public" in fault) is (name != "SECRET_KEY")
            assert "flask paseto keygen" in fault
    for name in ("SECRET_KEY_FALLBACKS", "PUBLIC_KEYS"):
        fault = fault_of({"PASETO_SECRET_KEY": SECRET, f"PASETO_{name}": [""]})
        assert fault.startswith(f"PASETO_{name}[0] is empty")


@pytest.mark.requirement("KEY-1")
@pytest.mark.parametrize("secret", [None, "", b""], ids=repr)
def test_no_key_at_all_is_a_fault(secret: Any) -> None:
    for settings in ({}, {"SECRET_KEY": secret}):
        fault = fault_of(settings)
        assert fault == f"PASETO_SECRET_KEY is not set; {KEYGEN}"


@pytest.mark.requirement("KEY-1")
@pytest.mark.parametrize(
    ("secret", "why"),
    [
        ("dev", "is shorter than 32 characters"),
        ("x" * 40, "has too little variety to be random"),
        ("this is my secret key, hands off it", "is a sample, not a secret"),
        (TEXT + " ", "has white space around it"),
        (5, "must be a text or bytes"),
    ],
    ids=repr,
)
def test_a_weak_secret_of_flask_is_a_fault(secret: Any, why: str) -> None:
    fault = fault_of({"SECRET_KEY": secret})
    assert fault == f"Flask's SECRET_KEY {why}; set PASETO_SECRET_KEY, {KEYGEN}"

    fault = fault_of({"SECRET_KEY": TEXT, "SECRET_KEY_FALLBACKS": [secret]})
    assert fault.startswith(f"Flask's SECRET_KEY_FALLBACKS {why}")


@pytest.mark.requirement("LIFE-2")
@pytest.mark.parametrize("value", ["a quick brown fox", b"bytes", 5, True], ids=repr)
def test_fallbacks_of_flask_that_are_no_list_are_one_fault(value: Any) -> None:
    fault = fault_of({"SECRET_KEY": TEXT, "SECRET_KEY_FALLBACKS": value})

    assert "SECRET_KEY_FALLBACKS" in fault


# Several keys


def test_fallbacks_are_accepted_and_issue_nothing() -> None:
    old = Codec(ring_of({"PASETO_SECRET_KEY": FORMER}))
    ring = ring_of(
        {"PASETO_SECRET_KEY": SECRET, "PASETO_SECRET_KEY_FALLBACKS": [FORMER, TEXT]}
    )
    codec = Codec(ring)

    assert issuer_of(ring) == id_of(SECRET)
    assert list(ring.issuing.values()) == [ring.by_id[id_of(SECRET)]]
    assert codec.open(old.seal(PAYLOAD)).key_id == id_of(FORMER)
    assert codec.open(codec.seal(PAYLOAD)).key_id == id_of(SECRET)
    assert set(ring.by_id) == {id_of(SECRET), id_of(FORMER), id_of(TEXT)}
    with pytest.raises(InvalidToken):
        old.open(codec.seal(PAYLOAD))


def test_fallbacks_of_flask_are_accepted_and_issue_nothing() -> None:
    old = Codec(ring_of({"SECRET_KEY": FORMER_TEXT}))
    ring = ring_of({"SECRET_KEY": TEXT, "SECRET_KEY_FALLBACKS": [FORMER_TEXT]})

    assert issuer_of(ring) == issuer_of(ring_of({"SECRET_KEY": TEXT}))
    assert Codec(ring).open(old.seal(PAYLOAD)).subject == "a"
    assert len(ring.by_id) == 2
    nothing: tuple[Any, ...] = (None, [], ())
    for none in nothing:
        ring = ring_of({"SECRET_KEY": TEXT, "SECRET_KEY_FALLBACKS": none})
        assert len(ring.by_id) == 1


def test_fallbacks_without_a_secret_key_are_a_fault() -> None:
    for more in ({}, {"PASETO_PUBLIC_KEY": PUBLIC}, {"SECRET_KEY": TEXT}):
        fault = fault_of({"PASETO_SECRET_KEY_FALLBACKS": [SECRET], **more})
        assert "PASETO_SECRET_KEY_FALLBACKS is set without PASETO_SECRET_KEY" in fault


def test_public_keys_are_all_accepted() -> None:
    ring = ring_of({"PASETO_PUBLIC_KEYS": (PUBLIC, OTHER_PUBLIC)})
    assert set(ring.by_id) == {id_of(PUBLIC), id_of(OTHER_PUBLIC)}

    both = ring_of(
        {"PASETO_SECRET_KEY": SECRET, "PASETO_PUBLIC_KEYS": [PUBLIC, OTHER_PUBLIC]}
    )
    assert set(both.by_id) == {id_of(key) for key in (SECRET, PUBLIC, OTHER_PUBLIC)}
    assert issuer_of(both) == id_of(SECRET)
    assert not [
        key for key in both.by_id.values() if key.private and key.purpose[0] == "p"
    ]


def test_a_public_key_beside_the_private_one_must_be_its_other_half() -> None:
    settings = {"PASETO_PRIVATE_KEY": PRIVATE, "PASETO_PUBLIC_KEY": PUBLIC}
    assert len(ring_of(settings).by_id) == 1
    assert issuer_of(ring_of(settings)) == id_of(PUBLIC)

    fault = fault_of({**settings, "PASETO_PUBLIC_KEY": OTHER_PUBLIC})
    assert "does not belong to PASETO_PRIVATE_KEY" in fault
    del settings["PASETO_PUBLIC_KEY"]
    ring = ring_of({**settings, "PASETO_PUBLIC_KEYS": [OTHER_PUBLIC]})
    assert set(ring.by_id) == {id_of(PUBLIC), id_of(OTHER_PUBLIC)}


@pytest.mark.parametrize("name", ["SECRET_KEY_FALLBACKS", "PUBLIC_KEYS"])
@pytest.mark.parametrize("value", [SECRET, PUBLIC, None, 5, {"a"}], ids=type)
def test_a_list_setting_that_is_no_list_is_a_fault(name: str, value: Any) -> None:
    fault = fault_of({"PASETO_SECRET_KEY": SECRET, f"PASETO_{name}": value})

    assert fault == f"PASETO_{name} must be a list of keys"


@pytest.mark.parametrize("name", ["SECRET_KEY", "PRIVATE_KEY", "PUBLIC_KEY"])
def test_a_list_where_one_key_goes_is_a_fault(name: str) -> None:
    key = {"SECRET": SECRET, "PRIVATE": PRIVATE, "PUBLIC": PUBLIC}[name[:-4]]

    for value in ([key], (key, key), []):
        assert fault_of({f"PASETO_{name}": value}).startswith(f"PASETO_{name} must be")


@pytest.mark.requirement("LIFE-2")
@pytest.mark.parametrize("flask", [{}, {"SECRET_KEY": TEXT}], ids=["alone", "flask"])
def test_settings_that_hold_no_key_at_all_are_a_fault(flask: dict[str, str]) -> None:
    """An app that can open nothing refuses everybody, and nobody learns why."""
    fault = fault_of({"PASETO_PUBLIC_KEYS": [], **flask})

    assert "PASETO_PUBLIC_KEYS" in fault


# The purpose


def test_the_purpose_says_which_of_two_keys_issues() -> None:
    settings = {"PASETO_SECRET_KEY": SECRET, "PASETO_PRIVATE_KEY": PRIVATE}

    local = ring_of(settings, purpose="local")
    public = ring_of(settings, purpose="public")

    assert issuer_of(local) == id_of(SECRET)
    assert issuer_of(public) == id_of(PUBLIC)
    assert set(local.by_id) == set(public.by_id) == {id_of(SECRET), id_of(PUBLIC)}
    assert Codec(local).seal(PAYLOAD, purpose="public").startswith("v4.public.")


def test_two_issuing_keys_without_a_purpose_are_a_fault() -> None:
    fault = fault_of({"PASETO_SECRET_KEY": SECRET, "PASETO_PRIVATE_KEY": PRIVATE})

    assert fault.startswith("PASETO_PURPOSE must say 'local' or 'public'")


@pytest.mark.parametrize(
    ("settings", "purpose", "needed"),
    [
        ({"PASETO_SECRET_KEY": SECRET}, "public", "PRIVATE_KEY"),
        ({"PASETO_PRIVATE_KEY": PRIVATE}, "local", "SECRET_KEY"),
        (
            {"PASETO_SECRET_KEY": SECRET, "PASETO_PUBLIC_KEY": PUBLIC},
            "public",
            "PRIVATE",
        ),
        ({"SECRET_KEY": TEXT}, "public", "PRIVATE_KEY"),
    ],
    ids=["secret", "private", "secret-and-public", "flask"],
)
def test_a_purpose_without_its_key_is_a_fault(
    settings: dict[str, str], purpose: Any, needed: str
) -> None:
    """Who asked for one kind of token must not silently get another, or none."""
    fault = fault_of(settings, purpose=purpose)

    assert f"PASETO_PURPOSE is {purpose!r}, which needs PASETO_{needed}" in fault


@pytest.mark.parametrize(
    ("settings", "purpose"),
    [
        ({"PASETO_SECRET_KEY": SECRET}, "local"),
        ({"PASETO_PRIVATE_KEY": PRIVATE}, "public"),
        ({"SECRET_KEY": TEXT}, "local"),
    ],
    ids=["secret", "private", "flask"],
)
def test_a_purpose_that_is_the_only_one_may_be_said(
    settings: dict[str, str], purpose: Any
) -> None:
    assert ring_of(settings, purpose=purpose).purpose == purpose


@pytest.mark.parametrize("purpose", ["local", "public"])
def test_a_purpose_does_not_matter_where_nothing_issues(purpose: Any) -> None:
    ring = ring_of({"PASETO_PUBLIC_KEY": PUBLIC}, purpose=purpose)

    assert ring.purpose is None
    assert set(ring.by_id) == {id_of(PUBLIC)}


# Files


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str | bytes], str]:
    """Return what writes a key file and gives its path."""

    def write(content: str | bytes) -> str:
        path = tmp_path / "key"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(path)

    return write


@pytest.mark.parametrize("end", ["", "\n", "\r\n"], ids=repr)
@pytest.mark.parametrize(
    ("name", "key"),
    [("SECRET_KEY", SECRET), ("PRIVATE_KEY", PRIVATE), ("PUBLIC_KEY", PUBLIC)],
    ids=["secret", "private", "public"],
)
def test_a_key_is_read_from_a_file(
    write: Callable[[str], str], name: str, key: str, end: str
) -> None:
    path = write(key + end)

    for given in (path, Path(path)):
        ring = ring_of({f"PASETO_{name}_FILE": given})
        assert set(ring.by_id) == {id_of(key)}


def test_a_byte_order_mark_in_a_file_is_no_part_of_the_key(
    write: Callable[[str], str],
) -> None:
    ring = ring_of({"PASETO_SECRET_KEY_FILE": write("\ufeff" + SECRET)})

    assert set(ring.by_id) == {id_of(SECRET)}


def test_a_text_is_read_from_a_file_and_derived(write: Callable[[str], str]) -> None:
    ring = ring_of({"PASETO_SECRET_KEY_FILE": write(TEXT + "\n")})

    assert set(ring.by_id) == {id_of(TEXT)}


@pytest.mark.requirement("KEY-1")
@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("", "is empty"),
        ("\n", "is empty"),
        ("short\n", "is shorter than 32 characters"),
        (TEXT + "\n\n", "has white space around it"),
        (TEXT + " \n", "has white space around it"),
        ("\n" + TEXT, "has white space around it"),
        (PUBLIC, "is a k4.public PASERK"),
        (bytes(range(200, 232)), "cannot be read"),
    ],
    ids=range(8),
)
def test_a_bad_key_file_is_a_fault(
    write: Callable[[str | bytes], str], content: str | bytes, why: str
) -> None:
    path = write(content)
    fault = fault_of({"PASETO_SECRET_KEY_FILE": path})

    assert fault.startswith(f"PASETO_SECRET_KEY_FILE ({path}) {why}")


@pytest.mark.requirement("LIFE-2")
@pytest.mark.parametrize("name", KEY_SETTINGS)
def test_a_key_file_that_is_not_there_is_a_fault(tmp_path: Path, name: str) -> None:
    full = f"PASETO_{name}_FILE"
    for path in (tmp_path, tmp_path / "nothing", "no\0path"):
        _, faults = read({full: path})
        assert faults[0].startswith(f"{full} ({path}) cannot be read: ")
    for value in (None, 5, "", b"key", ["key"]):
        _, faults = read({full: value})
        assert faults[0] == f"{full} must be the path of a file"


def test_a_key_and_its_file_are_not_both_set(write: Callable[[str], str]) -> None:
    for name, key in (
        ("SECRET_KEY", SECRET),
        ("PRIVATE_KEY", PRIVATE),
        ("PUBLIC_KEY", PUBLIC),
        ("PUBLIC_KEYS", [PUBLIC]),
    ):
        path = write(key if isinstance(key, str) else key[0])
        fault = fault_of({f"PASETO_{name}": key, f"PASETO_{name}_FILE": path})
        assert fault.startswith(f"PASETO_{name} and PASETO_{name}_FILE are both set")


def test_a_list_file_holds_one_key_a_line(write: Callable[[str], str]) -> None:
    path = write(f"{PUBLIC}\n{OTHER_PUBLIC}\r\n")
    ring = ring_of({"PASETO_PUBLIC_KEYS_FILE": path})
    assert set(ring.by_id) == {id_of(PUBLIC), id_of(OTHER_PUBLIC)}

    path = write(f"{FORMER}\n{TEXT}")
    ring = ring_of(
        {"PASETO_SECRET_KEY": SECRET, "PASETO_SECRET_KEY_FALLBACKS_FILE": path}
    )
    assert set(ring.by_id) == {id_of(key) for key in (SECRET, FORMER, TEXT)}
    assert issuer_of(ring) == id_of(SECRET)


def test_a_list_file_holds_one_pem_after_the_other(write: Callable[[str], str]) -> None:
    pems = [pem_of(key) for key in (PAIR, NIST)]

    for text in ("".join(pems), "\n".join(pems), "\n\n".join(pems) + "\n"):
        ring = ring_of({"PASETO_PUBLIC_KEYS_FILE": write(text)})
        assert {key.header for key in ring.by_id.values()} == {"v4.public", "v3.public"}


def pem_of(key: Any) -> str:
    """Return the public half of a key as PEM."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    pem: bytes = key._key.public_key().public_bytes(
        Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
    )
    return pem.decode()


@pytest.mark.requirement("LIFE-2")
@pytest.mark.parametrize("content", ["", "\n", "\n\n"], ids=repr)
def test_a_list_file_without_a_key_is_a_fault(
    write: Callable[[str], str], content: str
) -> None:
    _, faults = read({"PASETO_PUBLIC_KEYS_FILE": write(content)})

    assert faults
    for fault in faults:
        assert fault.startswith("PASETO_PUBLIC_KEYS_FILE")


def test_a_fault_names_the_line_of_a_list(write: Callable[[str], str]) -> None:
    path = write(f"{PUBLIC}\n\nk4.public.AAAA\n")

    _, faults = read({"PASETO_PUBLIC_KEYS_FILE": path})

    assert [fault.partition(" ")[0] for fault in faults] == [
        "PASETO_PUBLIC_KEYS_FILE[1]",
        "PASETO_PUBLIC_KEYS_FILE[2]",
    ]
    _, faults = read({"PASETO_PUBLIC_KEYS": ["k4.public.AAAA"]})
    assert faults[0].startswith("PASETO_PUBLIC_KEYS[0] is a damaged")


def test_a_private_key_is_no_public_key_of_a_list() -> None:
    _, faults = read({"PASETO_PUBLIC_KEYS": [PRIVATE, SECRET, PUBLIC]})

    assert len(faults) == 2


# What is wrong


@pytest.mark.requirement("LIFE-2")
def test_every_fault_of_the_keys_is_listed() -> None:
    _, faults = read(
        {
            "PASETO_SECRET_KEY": "short",
            "PASETO_SECRET_KEY_FALLBACKS": ["short", SECRET, PUBLIC],
            "PASETO_PRIVATE_KEY": PUBLIC,
            "PASETO_PUBLIC_KEY": PRIVATE,
            "PASETO_PUBLIC_KEYS": PUBLIC,
        }
    )

    assert [fault.partition(" ")[0] for fault in faults] == [
        "PASETO_SECRET_KEY",
        "PASETO_SECRET_KEY_FALLBACKS[0]",
        "PASETO_SECRET_KEY_FALLBACKS[2]",
        "PASETO_PRIVATE_KEY",
        "PASETO_PUBLIC_KEY",
        "PASETO_PUBLIC_KEYS",
    ]


@pytest.mark.requirement("LIFE-2")
def test_several_contradictions_are_all_listed() -> None:
    _, faults = read(
        {
            "PASETO_SECRET_KEY_FALLBACKS": [FORMER],
            "PASETO_PRIVATE_KEY": PRIVATE,
            "PASETO_PUBLIC_KEY": OTHER_PUBLIC,
        },
        purpose="local",
    )

    assert len(faults) == 3


@pytest.mark.requirement("KEY-6")
def test_no_fault_shows_any_of_a_key(write: Callable[[str], str]) -> None:
    odd = "q7Zx9Lm2Kp4Rt6Vw8Yb1Nc3Df5"
    values: list[Any] = [
        odd,
        odd + "\n",
        odd * 3,
        f" {odd}abcdefghi",
        f"k4.local.{odd}",
        f"k4.secret.{odd}",
        f"k4.public.{odd}",
        f"-----BEGIN PRIVATE KEY-----\n{odd}\n-----END PRIVATE KEY-----\n",
        f'{{"k":"{odd}abcdefgh"}}',
        odd.encode(),
        [odd],
        {odd: odd},
        odd + "\udcff" + odd,
    ]
    for value in values:
        for name in KEY_SETTINGS:
            given = [{f"PASETO_{name}": value}, {f"PASETO_{name}": [value, value]}]
            if isinstance(value, str) and value.isascii():
                given.append({f"PASETO_{name}_FILE": write(value)})
            for settings in given:
                shown = repr(read(settings)[1])
                assert "PASETO_" in shown
                assert not [at for at in range(22) if odd[at : at + 4] in shown], shown
                assert "udcff" not in shown
        shown = repr(read({"SECRET_KEY": value, "SECRET_KEY_FALLBACKS": [value]})[1])
        assert not [at for at in range(22) if odd[at : at + 4] in shown]
        assert "udcff" not in shown


def test_every_key_setting_says_what_it_is() -> None:
    assert set(KEY_SETTINGS) == {
        "SECRET_KEY",
        "SECRET_KEY_FALLBACKS",
        "PRIVATE_KEY",
        "PUBLIC_KEY",
        "PUBLIC_KEYS",
    }
    for says in KEY_SETTINGS.values():
        assert says.endswith(".")


def test_a_ring_key_of_a_setting_is_of_ours() -> None:
    for key in ring_of({"PASETO_SECRET_KEY": SECRET}).by_id.values():
        assert type(key) is RingKey
