"""The two checksums that Google keeps of every object."""

from __future__ import annotations

import base64
import hashlib
from functools import cache, reduce
from operator import xor

import numpy as np
from numpy.typing import NDArray

POLYNOMIAL = 0x82F63B78  # Castagnoli's, with its bits reversed
LANE_BYTES = 2048


def md5(content: bytes) -> str:
    return base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()


def crc32c(content: bytes) -> str:
    return base64.b64encode(_crc32c(content).to_bytes(4)).decode()


def _crc32c(content: bytes) -> int:
    """Return the CRC32C of the content.

    Lanes of equal length are processed side by side and then joined: a loop over bytes would take seconds for a game.
    """
    whole = len(content) // LANE_BYTES
    state = 0xFFFFFFFF
    if whole > 1:
        lanes = np.frombuffer(content, np.uint8, whole * LANE_BYTES).reshape(whole, LANE_BYTES)
        table = np.array(_table(), np.uint32)
        sums = np.zeros(whole, np.uint32)
        for column in lanes.T:
            sums = table[(sums ^ column) & 0xFF] ^ (sums >> np.uint32(8))
        state = _joined(sums, state)
        content = content[whole * LANE_BYTES :]
    for byte in content:
        state = _table()[(state ^ byte) & 0xFF] ^ (state >> 8)
    return state ^ 0xFFFFFFFF


def _joined(sums: NDArray[np.uint32], state: int) -> int:
    """Join the checksums of lanes: over the zeros of a lane as a linear map, over its bytes by adding its own sum."""
    for lane in sums.tolist():
        shifted = 0
        for position in range(4):
            shifted ^= _over_a_lane()[position][(state >> (8 * position)) & 0xFF]
        state = shifted ^ lane
    return state


@cache
def _table() -> tuple[int, ...]:
    return tuple(_through_zeros(byte, 8) for byte in range(256))


def _through_zeros(state: int, bits: int) -> int:
    for _ in range(bits):
        state = (state >> 1) ^ (POLYNOMIAL if state & 1 else 0)
    return state


@cache
def _over_a_lane() -> tuple[tuple[int, ...], ...]:
    """Return the effect of a lane of zeros on each byte of the state."""
    single_bits = [_through_zeros(1 << bit, 8 * LANE_BYTES) for bit in range(32)]
    return tuple(
        tuple(
            reduce(xor, (single_bits[8 * position + bit] for bit in range(8) if byte >> bit & 1), 0)
            for byte in range(256)
        )
        for position in range(4)
    )
