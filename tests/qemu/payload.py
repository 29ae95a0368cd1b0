# SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
"""An image as large as wanted: the reference kernel with one more segment, whose content no two pages share."""

import random
import struct

PT_LOAD = 1
PF_RW = 6
LINEAR_MAP = 0xC000_0000
HEADER_TABLE = 28  # e_phoff; e_phentsize and e_phnum follow at 42 and 44
PAGE = 4096


def crc32c(data: bytes) -> int:
    """As lobos computes it [RFC 3720]."""
    table = []
    for number in range(256):
        for _ in range(8):
            number = number >> 1 ^ (0x82F6_3B78 if number & 1 else 0)
        table.append(number)
    crc = 0xFFFF_FFFF
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFF_FFFF


def with_segment(kernel: bytes, destination: int, size: int) -> tuple[bytes, int]:
    """`kernel` with `size` bytes more at physical address `destination`; and their CRC-32C."""
    content = random.Random(1).randbytes(size)
    offset, = struct.unpack_from("<I", kernel, HEADER_TABLE)
    entry_size, count = struct.unpack_from("<HH", kernel, 42)
    table = kernel[offset:offset + entry_size * count]
    content_at = (len(kernel) + PAGE - 1) // PAGE * PAGE
    table += struct.pack("<8I", PT_LOAD, content_at, LINEAR_MAP + destination, destination, size, size, PF_RW, PAGE)
    header = bytearray(kernel)
    struct.pack_into("<I", header, HEADER_TABLE, content_at + size)
    struct.pack_into("<H", header, 44, count + 1)
    return bytes(header).ljust(content_at, b"\0") + content + table, crc32c(content)
