"""Bytes of a name or text in a MIDI file -> the words that were meant.

The standard names no encoding, so programs write that of their country.
"""

import re

_ISOLATED = re.compile(rb"(?<![\x80-\xff])[\xa0-\xff](?![\x80-\xff])")
_HALF_WIDTH = re.compile("[\uff61-\uff9f]")
_BYTE_ORDER_MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}


def decode_text(raw: bytes) -> str:
    """The text in UTF-8, UTF-16 with a mark, Shift-JIS, GBK or Latin-1, whichever it can be.

    Blanks and NULs around it are dropped.
    """
    return _decode(raw).strip("\0 \t\r\n\x0b\x0c\u3000")


def _decode(raw: bytes) -> str:
    for mark, encoding in _BYTE_ORDER_MARKS.items():
        if raw.startswith(mark):
            # A NUL that ends the text in bytes may leave half a character behind.
            return raw.decode(encoding, errors="ignore")
    text = _tried(raw, "utf-8")
    if text is not None:
        return text
    if not _ISOLATED.sub(b"", raw).strip(bytes(range(128))):  # accents within Western words
        return raw.decode("latin-1")
    japanese = _tried(raw, "shift_jis")
    if japanese is not None and not _HALF_WIDTH.search(japanese):
        return japanese
    return _tried(raw, "gbk") or japanese or raw.decode("latin-1")


def _tried(raw: bytes, encoding: str) -> str | None:
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError:
        return None
