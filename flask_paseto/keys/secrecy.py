"""Refuse what is no secret: other things by mistake, samples, and the guessable."""

from __future__ import annotations

import json
import re
import unicodedata
from binascii import a2b_base64, unhexlify
from collections import Counter
from itertools import pairwise

SHORTEST = 32  # characters or bytes
_FEWEST_DIFFERENT = 8

# Texts of tutorials; compared without case, digits, spaces and punctuation.
_SAMPLE_WORDS = (
    "secret",
    "password",
    "changeme",
    "changethis",
    "donotuse",
    "example",
    "insecure",
    "placeholder",
    "replaceme",
    "replacethis",
    "yellowsubmarine",
    "yourkey",
    # of the documentation of Flask and of FastAPI
    "bbddabeddecafcbaecfbbfdcdbcbf",
    "defaacacbabffffcaacfbede",
)

_OTHER_THINGS = (
    (r"----+ ?(BEGIN|END) ", "has a PEM or SSH key in it"),
    (r"^k\d+\.", "is a damaged or unknown PASERK"),
    (r"k\d\.(local|secret|public|lid|pid|sid|seal)", "has a PASERK in it"),
    (r"v\d\.(local|public)\.", "has a token in it"),
    (r"^\s*\{\s*\"", "is JSON"),
    (r"(ssh|ecdsa|sk)-[a-z0-9@.-]+ |AAAA[A-Z]3N[zo]", "has an SSH key in it"),
    (r"^(~|\.{0,2})(/[\w.-]+)+\.\w+$", "is a path: the setting for that ends in _FILE"),
    (r"^[a-z][a-z0-9+.-]*://", "is a URL"),
    (r"\$\{[\w .:-]+\}|\{\{[\w .:-]+\}\}|^<[\w .:-]+>$", "is a placeholder"),
)
_PATTERNS = tuple((re.compile(p, re.I | re.DOTALL), what) for p, what in _OTHER_THINGS)

# SEQUENCE { INTEGER version or modulus | SEQUENCE …, lengths short or long.
_DER_KEY = re.compile(
    rb"\x30([\x00-\x7f]|\x81.|\x82..)"
    rb"(\x02\x01[\x00\x01]|\x02[\x81\x82]|\x30.\x06|\x30[\x81\x82])",
    re.DOTALL,
)


def refuse_other_things(text: str) -> None:
    """Refuse a text that is too short or no secret, as it stands or decoded.

    Raises:
        ValueError: It says what it seems to be.
    """
    _refuse_short(len(text))  # characters: their bytes may be many more
    _refuse_patterns(text)
    if _is_json(text):
        raise ValueError("is JSON, not a secret text")
    if text != text.strip():
        raise ValueError("has white space around it")
    if any(unicodedata.category(letter) in ("Cc", "Cf", "Cs") for letter in text):
        raise ValueError("has characters in it that cannot be seen")
    if text[:1] == text[-1:] and text[:1] in ("'", '"', "`"):
        raise ValueError("has quotes around it")
    for raw in _decoded(text):
        if _DER_KEY.match(raw):
            raise ValueError("is a key in DER, not a secret text")
        if raw.isascii():
            _refuse_patterns(raw.decode())


def _is_json(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict | list)
    except (ValueError, RecursionError):
        return False


def _refuse_short(length: int) -> None:
    if length < SHORTEST:
        raise ValueError(f"is shorter than {SHORTEST} characters")


def _refuse_patterns(text: str) -> None:
    for pattern, what in _PATTERNS:
        if pattern.search(text):
            raise ValueError(f"{what}, not a secret text")


def _decoded(text: str) -> list[bytes]:
    """Return what a text is in hex and in base64, cut to whole groups."""
    found = []
    for decode, group in ((unhexlify, 2), (_from_base64, 4)):
        try:
            found.append(decode(text[: len(text) // group * group]))
        except ValueError:
            continue
    return found


def _from_base64(text: str) -> bytes:
    return a2b_base64(text.translate({45: 43, 95: 47}), strict_mode=True)


def refuse_guessable(secret: bytes) -> None:
    """Refuse what somebody could guess: short, regular, or a sample.

    Raises:
        ValueError: It says what is wrong.
    """
    _refuse_short(len(secret))
    if _is_regular(secret):
        raise ValueError("has too little variety to be random")
    if not secret.isascii():
        return
    letters = re.sub(r"[^a-z]", "", secret.decode().lower())
    if any(word in letters for word in _SAMPLE_WORDS):
        raise ValueError("is a sample, not a secret")
    for raw in _decoded(secret.decode()):
        if len(raw) >= SHORTEST // 2 and _is_regular(raw):
            raise ValueError("has too little variety to be random")


def _is_regular(secret: bytes) -> bool:
    """Tell whether it has few different bytes, repeats a piece, or counts."""
    if len(set(secret)) < _FEWEST_DIFFERENT:
        return True
    half = len(secret) // 2
    if any(secret[n:] == secret[:-n] for n in range(1, half + 1)):
        return True
    steps = Counter((b - a) % 256 for a, b in pairwise(secret))
    return steps.most_common(1)[0][1] > half
