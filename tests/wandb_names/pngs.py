"""A reader of the PNG that lightsweep writes, so that tests need no Pillow."""

from __future__ import annotations

import struct
import zlib

import numpy as np

__all__ = ["frames_of", "pixels_of"]


def chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    """The chunks of a PNG, their checksums compared."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    found, at = [], 8
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        kind, content = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        assert struct.unpack(">I", data[at + 8 + length : at + 12 + length]) == (zlib.crc32(kind + content),)
        found.append((kind, content))
        at += 12 + length
    assert found[-1] == (b"IEND", b"")
    return found


def frames_of(data: bytes) -> list[np.ndarray]:
    """The images of a PNG, of eight bits and with rows that are differences to the row above."""
    width, height, depth, colours = struct.unpack(">IIBB", chunks(data)[0][1][:10])
    assert depth == 8
    channels = {0: 1, 4: 2, 2: 3, 6: 4}[colours]
    frames = []
    for kind, content in chunks(data):
        if kind not in (b"IDAT", b"fdAT"):
            continue
        rows = np.frombuffer(zlib.decompress(content[4 if kind == b"fdAT" else 0 :]), dtype=np.uint8)
        rows = rows.reshape(height, 1 + width * channels)
        assert set(rows[:, 0]) == {2}
        frames.append(np.cumsum(rows[:, 1:], axis=0, dtype=np.uint8).reshape(height, width, channels))
    return frames


def pixels_of(data: bytes) -> np.ndarray:
    """The only image of a PNG."""
    (frame,) = frames_of(data)
    return frame
