# SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
"""Images made of the reference kernel: one as large as wanted, with one more segment, whose content no two pages share;
and a plain binary, the kernel as it lies in memory."""

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


def plain(kernel: bytes) -> tuple[bytes, tuple[int, int, int, int]]:
    """What the one PT_LOAD of `kernel` has in the file, and where it belongs, as `flat=` wants it: physical and virtual
    address, the entry from its beginning, and how many zeros follow."""
    long = kernel[4] == 2
    entry, table = struct.unpack_from("<QQ" if long else "<II", kernel, 24)
    if long:
        _, _, offset, mapped_at, at, in_file, in_memory = struct.unpack_from("<IIQQQQQ", kernel, table)
    else:
        _, offset, mapped_at, at, in_file, in_memory = struct.unpack_from("<6I", kernel, table)
    return kernel[offset:offset + in_file], (at, mapped_at, entry - mapped_at, in_memory - in_file)
