"""Writes PNG files that are the same, byte for byte, on every machine."""

import os
import struct
import zlib
from pathlib import Path

import numpy as np

_BLOCK = 65535
_COLOUR_TYPES = {1: 0, 3: 2}


def write_png(path: Path, pixels: np.ndarray) -> None:
    """Writes an image without compression.

    Compressors differ between versions of zlib and between processors, so their
    files do too. Stored blocks leave nothing to choose.

    Args:
        path: the file; its folder exists.
        pixels: uint8 array (height, width, channels) of 1 or 3 channels.
    """
    height, width, channels = pixels.shape
    header = struct.pack(">IIBBBBB", width, height, 8, _COLOUR_TYPES[channels], 0, 0, 0)
    unfiltered = np.zeros((height, 1), np.uint8)
    rows = np.hstack([unfiltered, pixels.reshape(height, -1)]).tobytes()
    with path.open("wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        file.write(_chunk(b"IHDR", header))
        file.write(_chunk(b"IDAT", _store(rows)))
        file.write(_chunk(b"IEND", b""))
        file.flush()
        os.fsync(file.fileno())


def _chunk(name: bytes, content: bytes) -> bytes:
    length = struct.pack(">I", len(content))
    checksum = struct.pack(">I", zlib.crc32(name + content))
    return length + name + content + checksum


def _store(content: bytes) -> bytes:
    """A zlib stream (RFC 1950, 1951) of stored blocks."""
    blocks = []
    for start in range(0, len(content), _BLOCK):
        block = content[start : start + _BLOCK]
        is_last = start + _BLOCK >= len(content)
        blocks.append(
            struct.pack("<BHH", is_last, len(block), _BLOCK - len(block)) + block
        )
    return b"\x78\x01" + b"".join(blocks) + struct.pack(">I", zlib.adler32(content))
