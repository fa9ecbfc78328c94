"""A self-similarity matrix as a small PNG with the same bytes everywhere."""

import struct
import zlib

import numpy as np

_ANCHORS = np.array(
    [
        (0x12, 0x14, 0x1F),
        (0x2B, 0x2A, 0x5C),
        (0x6A, 0x35, 0x8C),
        (0xB8, 0x43, 0x86),
        (0xF0, 0x6E, 0x62),
        (0xFB, 0xB0, 0x5F),
        (0xFD, 0xF2, 0xC4),
    ],
    dtype=np.float64,
)
"""Colours at equal distances of similarity 0 to 1; lightness grows all the way."""


def colour_table() -> np.ndarray:
    """256 colours from similarity 0 to 1: `[256, 3]` uint8."""
    place = np.linspace(0.0, len(_ANCHORS) - 1, 256)
    channels = [np.interp(place, np.arange(len(_ANCHORS)), column) for column in _ANCHORS.T]
    return np.rint(np.stack(channels, axis=1)).astype(np.uint8)


def self_similarity_png(matrix: np.ndarray) -> bytes:
    """Draw a matrix, one pixel a cell.

    Args:
        matrix: `[num_bars, num_bars]` similarities. The colours span 0 to 1; below, and where
            undefined (nan), is darkest.

    Raises:
        ValueError: if the matrix is not square or has no rows.
    """
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not matrix.size:
        message = f"A self-similarity matrix must be square and not empty, not {matrix.shape}."
        raise ValueError(message)
    shades = np.rint(np.clip(np.nan_to_num(matrix, nan=0.0), 0.0, 1.0) * 255.0).astype(np.uint8)
    return _indexed_png(shades, colour_table())


def _indexed_png(pixels: np.ndarray, palette: np.ndarray) -> bytes:
    """PNG of colour indices `[height, width]` uint8 with a palette `[256, 3]` uint8."""
    height, width = pixels.shape
    unfiltered = np.zeros((height, 1), dtype=np.uint8)
    rows = np.concatenate([unfiltered, pixels], axis=1).tobytes()
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
            _chunk(b"PLTE", palette.tobytes()),
            _chunk(b"IDAT", zlib.compress(rows, 9)),
            _chunk(b"IEND", b""),
        )
    )


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
