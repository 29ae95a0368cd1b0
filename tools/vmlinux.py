#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
"""The uncompressed kernel inside a bzImage: the ELF file vmlinux, as its own decompressor would unpack it.

The setup header says where the payload lies [linux/boot.rst "payload_offset"]; its last four bytes are the size of what
it unpacks to, and XZ, which Debian chooses, is what is understood here.
"""

import argparse
import lzma
import struct
import sys
from pathlib import Path

SECTOR = 512
SETUP_SECTORS, BOOT_PROTOCOL, PAYLOAD = 0x1F1, 0x206, 0x248
FIRST_WITH_PAYLOAD = 0x208
XZ = b"\xfd7zXZ\0"


def extract(image: bytes) -> bytes:
    protocol, = struct.unpack_from("<H", image, BOOT_PROTOCOL)
    if protocol < FIRST_WITH_PAYLOAD:
        raise ValueError(f"boot protocol {protocol:#x} does not tell where the payload is")
    offset, length = struct.unpack_from("<II", image, PAYLOAD)
    begin = ((image[SETUP_SECTORS] or 4) + 1) * SECTOR + offset
    payload = image[begin:begin + length]
    if len(payload) != length or not payload.startswith(XZ):
        raise ValueError("the payload is not compressed with XZ")
    kernel = lzma.LZMADecompressor().decompress(payload)
    size, = struct.unpack("<I", payload[-4:])
    if len(kernel) != size or not kernel.startswith(b"\x7fELF"):
        raise ValueError("the payload does not unpack to a kernel of its size")
    return kernel


def write(image: Path, output: Path) -> None:
    """Unless that was done before."""
    if output.exists() and output.stat().st_mtime >= image.stat().st_mtime:
        return
    output.parent.mkdir(parents=True, exist_ok=True)
    new = output.with_name(output.name + ".new")
    new.write_bytes(extract(image.read_bytes()))
    new.replace(output)


def main() -> int:
    parser = argparse.ArgumentParser(description="Unpack the vmlinux inside a bzImage.")
    parser.add_argument("image", type=Path, metavar="BZIMAGE")
    parser.add_argument("output", type=Path, metavar="VMLINUX")
    args = parser.parse_args()
    try:
        write(args.image, args.output)
    except (OSError, ValueError, lzma.LZMAError, struct.error) as error:
        print(f"vmlinux: {args.image}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
