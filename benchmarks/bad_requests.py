"""Requests that cannot be met, from a seeded generator: wrong values, fields, bodies, files."""

import json
import random
from typing import Any

DIGITS = "9" * 5000
NO_NUMBERS = ("nan", "", "one", None, [], {}, True, 1e308, -1e308, 10**400, -1, "1", [1], "\ud800")
NO_TEXTS = (0, 1.5, True, [], {}, "\x00", "\ud800", "é" * 3000, "../../etc/passwd", "$(id)", DIGITS)
BAD_FIELDS: dict[str, tuple[Any, ...]] = {
    "num_bars": (*NO_NUMBERS[:3], *NO_NUMBERS[4:-5], 0, -1, 129, 2001, 1.5, 10**30),
    "sections": (*NO_TEXTS, "A", "A0", "4A", "A1000", "A8 " * 700, f"A{DIGITS}", "A129"),
    "form": (*NO_TEXTS, "melody *", "drums * *", "melody =9\nbridge .\npiano .", "x" * 200_001),
    "chords": (*NO_TEXTS, "", "|", "C | Xyz", "C G D", "C | " * 2400 + "C"),
    "key": (*NO_TEXTS, "", "H", "C##", "Cmajor7"),
    "tempo": (*NO_NUMBERS[:-5], 0, 10, 400, -1, 1e300, "90"),
    "seed": (*NO_NUMBERS[:7], 1.5, 2**63, -(2**70), "1"),
    "index": (*NO_NUMBERS[:7], -1, 10_000, 1.5),
    "steps": ("", "one", [], {}, True, 0, -1, 1001, 2.5),
    "guidance": ("", "one", [], {}, True, -0.1, 100.1, 1e300),
    "variation": (*NO_NUMBERS[:7], -0.1, 1.1, 1e300),
    "plans": (*NO_TEXTS, "", "Drawn", "random"),
}
BAD_BODIES = (
    b"", b"{", b"[]", b"null", b"1", b'"x"', b"\xff\xfe", b"{'a': 1}", b"[" * 50_000,
    b'{"seed": ' + b"9" * 5000 + b"}", b'{"tempo": NaN}', b'{"tempo": Infinity}',
    b'{"seed": 1, "seed": "x"}', b'{"sections": "\\ud800"}', b"x" * 300_000,
    b'{"a":' * 20_000,
)  # fmt: skip
BAD_FILES = (
    b"", b"MThd", b"MThd\x00\x00\x00\x06\x00\x01\x00\x01\x00\x00", b"RIFF", b"x" * 2_000_000,
    b"MThd\x00\x00\x00\x06\x00\x02\x00\x01\x01\xe0MTrk\x00\x00\x00\x04\x00\xff\x2f\x00",
    b"MThd\x00\x00\x00\x06\x00\x01\x00\x01\x01\xe0MTrk\x00\x00\x00\x04\x00\xff\x2f\x00",
    b"MThd\x00\x00\x00\x06\x00\x01\xff\xff\x01\xe0" + b"MTrk\x00\x00\x00\x00" * 20_000,
)  # fmt: skip
BAD_QUERIES: tuple[list[tuple[str, str]], ...] = (
    [("keep", "drums")], [("keep", "")], [("keep", "melody")] * 5, [("map", "x")], [("seed", "x")],
    [("map", "x" * 300)], [("map", "9=melody")] * 40, [("steps", "0")], [("guidance", "nan")],
    [("index", "-1")], [("nothing", "1")], [("sections", "A0")], [("seed", DIGITS)],
)  # fmt: skip
BAD_PATHS = (
    "/jobs/x", "/jobs/../../etc/passwd", "/jobs/%2e%2e%2f", "/jobs/%00", "/nothing", "/generate/",
    "/docs/../..//etc", "/jobs/" + "x" * 5000, "//", "/jobs/x/midi",
)  # fmt: skip
JSON_TYPES = ("application/json", "text/plain", "application/json; charset=utf-7", "x", "")


def bad_request(rng: random.Random) -> dict[str, Any]:
    """Arguments of `httpx.Client.request` for a request with one thing in it that cannot be."""
    kind = rng.choice(("field",) * 8 + ("body", "file", "query", "path", "method", "accept"))
    path = rng.choice(("/generate", "/generate", "/jobs"))
    headers = {"content-type": "application/json"}
    if kind == "field":
        name = rng.choice((*BAD_FIELDS, "unknown", "x" * 500, "é\x00"))
        value = rng.choice(BAD_FIELDS.get(name, (1,)))
        content: bytes = json.dumps({name: value}).encode()
    elif kind == "body":
        content = rng.choice(BAD_BODIES)
        headers["content-type"] = rng.choice(JSON_TYPES)
    elif kind in ("file", "query"):
        query = rng.choice(BAD_QUERIES) if kind == "query" else []
        headers["content-type"] = rng.choice(("audio/midi", "audio/midi", "text/plain"))
        content = rng.choice(BAD_FILES)
        return {
            "method": "POST", "url": "/accompany", "params": query, "headers": headers,
            "content": content,
        }  # fmt: skip
    elif kind == "path":
        method = rng.choice(("GET", "POST", "DELETE"))
        return {"method": method, "url": rng.choice(BAD_PATHS), "content": b"{}"}
    elif kind == "method":
        method = rng.choice(("GET", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE"))
        return {"method": method, "url": path, "content": b"{}"}
    else:
        headers["accept"] = rng.choice(("image/png", "text/plain", "x", "application/xml"))
        path, content = "/generate", b"{}"
    return {"method": "POST", "url": path, "headers": headers, "content": content}
