# SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
"""Images that must be refused, made from good ones: cut short, or one header field wrong."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class BadImage:
    name: str
    data: bytes


def with_field(data: bytes, offset: int, layout: str, value: int) -> bytes:
    """A copy with one field, little-endian, replaced."""
    copy = bytearray(data)
    struct.pack_into("<" + layout, copy, offset, value)
    return bytes(copy)


def field(data: bytes, offset: int, layout: str) -> int:
    return struct.unpack_from("<" + layout, data, offset)[0]


# Linux's setup header [linux/boot.rst]: offset and layout of a field.
SETUP_SECTS = 0x1F1, "B"
SYSSIZE = 0x1F4, "I"
BOOT_FLAG = 0x1FE, "H"
HEADER_MAGIC = 0x202, "I"
LENGTH = 0x201, "B"
VERSION = 0x206, "H"
LOADFLAGS = 0x211, "B"
INITRD_ADDR_MAX = 0x22C, "I"
KERNEL_ALIGNMENT = 0x230, "I"
MIN_ALIGNMENT = 0x235, "B"
CMDLINE_SIZE = 0x238, "I"
PREF_ADDRESS = 0x258, "Q"
INIT_SIZE = 0x260, "I"
HEADER_END = 0x268


def bzimage_payload_end(data: bytes) -> int:
    """Where the protected-mode code ends; a signature may follow, which nobody needs."""
    return (field(data, *SETUP_SECTS) + 1) * 512 + field(data, *SYSSIZE) * 16


def cut_bzimages(good: bytes) -> Iterator[BadImage]:
    setup_end = (field(good, *SETUP_SECTS) + 1) * 512
    for size in (1, SETUP_SECTS[0], BOOT_FLAG[0] + 1, HEADER_MAGIC[0] + 3, VERSION[0] + 1, HEADER_END - 1, 1024,
                 setup_end - 1, setup_end, setup_end + 1, len(good) // 2, bzimage_payload_end(good) - 1):
        yield BadImage(f"cut-at-{size}", good[:size])


def corrupt_bzimages(good: bytes) -> Iterator[BadImage]:
    for name, where, value in (
        ("setup-sects-255", SETUP_SECTS, 255),
        ("syssize-max", SYSSIZE, 0xFFFFFFFF),
        ("syssize-0", SYSSIZE, 0),
        ("syssize-wraps", SYSSIZE, 0x10000000),
        ("boot-flag", BOOT_FLAG, 0xAA54),
        ("magic", HEADER_MAGIC, 0x53726449),
        ("length-0", LENGTH, 0),
        ("length-255", LENGTH, 255),
        ("loaded-low", LOADFLAGS, 0),
        ("version-0", VERSION, 0),
        ("version-2.09", VERSION, 0x0209),
        ("alignment-0", KERNEL_ALIGNMENT, 0),
        ("alignment-3", KERNEL_ALIGNMENT, 3),
        ("min-alignment-64", MIN_ALIGNMENT, 64),
        ("preferred-at-4G", PREF_ADDRESS, 1 << 32),
        ("preferred-max", PREF_ADDRESS, (1 << 64) - 1),
        ("init-size-0", INIT_SIZE, 0),
        ("init-size-max", INIT_SIZE, 0xFFFFFFFF),
        ("init-size-4G-less-page", INIT_SIZE, 0xFFFFF000),
        ("cmdline-size-8", CMDLINE_SIZE, 8),
        ("initrd-limit-64K", INITRD_ADDR_MAX, 0xFFFF),
    ):
        yield BadImage(name, with_field(good, *where, value))


# The ELF32 header and its first loadable segment [sysv/gabi ch. 4 and 5].
EI_CLASS = 4, "B"
EI_DATA = 5, "B"
E_TYPE = 16, "H"
E_MACHINE = 18, "H"
E_ENTRY = 24, "I"
E_PHOFF = 28, "I"
E_PHENTSIZE = 42, "H"
E_PHNUM = 44, "H"
PHDR_SIZE = 32
P_OFFSET, P_PADDR, P_FILESZ, P_MEMSZ = 4, 12, 16, 20
PT_LOAD = 1
PT_NULL = 0
PT_LOBOS_PADDING = 0x6C6F6200


def first_load(data: bytes) -> int:
    """The offset of the program header of the first segment that has bytes to load."""
    for number in range(field(data, *E_PHNUM)):
        at = field(data, *E_PHOFF) + number * PHDR_SIZE
        if field(data, at, "I") == PT_LOAD and field(data, at + P_FILESZ, "I"):
            return at
    raise ValueError("an ELF file without anything to load")


def cut_elfs(good: bytes) -> Iterator[BadImage]:
    at = first_load(good)
    segment_end = field(good, at + P_OFFSET, "I") + field(good, at + P_FILESZ, "I")
    for size in (4, 20, 51, field(good, *E_PHOFF) + 1, segment_end - 1):
        yield BadImage(f"elf-cut-at-{size}", good[:size])


def corrupt_elfs(good: bytes) -> Iterator[BadImage]:
    at = first_load(good)
    for name, where, value in (
        ("elf-magic", (0, "I"), 0x464C457E),
        ("elf-class-64", EI_CLASS, 2),
        ("elf-big-endian", EI_DATA, 2),
        ("elf-relocatable", E_TYPE, 1),
        ("elf-machine", E_MACHINE, 62),
        ("elf-phoff-max", E_PHOFF, 0xFFFFFFFF),
        ("elf-phentsize-0", E_PHENTSIZE, 0),
        ("elf-phnum-0", E_PHNUM, 0),
        ("elf-phnum-max", E_PHNUM, 0xFFFF),
        ("elf-entry-outside", E_ENTRY, 0xDEAD0000),
        ("elf-offset-max", (at + P_OFFSET, "I"), 0xFFFFFFFF),
        ("elf-filesz-max", (at + P_FILESZ, "I"), 0xFFFFFFFF),
        ("elf-filesz-over-memsz", (at + P_MEMSZ, "I"), 1),
        ("elf-memsz-max", (at + P_MEMSZ, "I"), 0xFFFFFFFF),
        ("elf-paddr-video", (at + P_PADDR, "I"), 0xA0000),
        ("elf-paddr-wraps", (at + P_PADDR, "I"), 0xFFFFF000),
        ("elf-paddr-beyond-memory", (at + P_PADDR, "I"), 0xE0000000),
    ):
        yield BadImage(name, with_field(good, *where, value))


LOG_OF_512_MIB = 0x1FE00000  # where the reference kernel has its log in a machine of so much memory


def misplaced_elfs(good: bytes) -> Iterator[BadImage]:
    """Well-formed, so that they are loaded; what is wrong is found in prepare(), by then with pages taken or not."""
    headers = [field(good, *E_PHOFF) + number * PHDR_SIZE for number in range(field(good, *E_PHNUM))]
    padding = next(at for at in headers if field(good, at, "I") == PT_LOBOS_PADDING)
    unpadded = with_field(good, padding, "I", PT_NULL)
    at = first_load(good)
    over_the_log = with_field(unpadded, at + P_PADDR, "I", LOG_OF_512_MIB - 0x100000)
    yield BadImage("elf-over-the-log", with_field(over_the_log, at + P_MEMSZ, "I", 0x101000))
    for name, address in (
        ("elf-askew", 0x200000),  # mapped at 0xC0100000 by 4 MB pages, so it has to lie 1 MiB into one
        ("elf-over-the-firmware", 0xA0000),
        ("elf-beyond-memory", 0xE0100000),
    ):
        yield BadImage(name, with_field(unpadded, at + P_PADDR, "I", address))


# Of ELF64, where it differs.
E64_ENTRY = 24, "Q"
E64_PHOFF = 32, "Q"
E64_PHENTSIZE = 54, "H"
E64_PHNUM = 56, "H"
P64_OFFSET, P64_VADDR, P64_PADDR, P64_FILESZ, P64_MEMSZ = 8, 16, 24, 32, 40


def alpha_elfs(good: bytes) -> Iterator[BadImage]:
    """A kernel for an Alpha, whose first program header is of what it loads: cut, corrupt, and well-formed but misplaced."""
    at = field(good, *E64_PHOFF)
    if field(good, at, "I") != PT_LOAD:
        raise ValueError("an ELF file that does not begin with something to load")
    segment_end = field(good, at + P64_OFFSET, "Q") + field(good, at + P64_FILESZ, "Q")
    for size in (0, 4, 20, 63, at + 1, segment_end - 1):
        yield BadImage(f"cut-at-{size}", good[:size])
    kseg, most = 0xFFFFFC0000000000, 0xFFFFFFFFFFFFFFFF
    for name, where, value in (
        ("magic", (0, "I"), 0x464C457E),
        ("class-32", EI_CLASS, 1),
        ("big-endian", EI_DATA, 2),
        ("relocatable", E_TYPE, 1),
        ("machine", E_MACHINE, 62),
        ("phoff-max", E64_PHOFF, most),
        ("phentsize-0", E64_PHENTSIZE, 0),
        ("phnum-0", E64_PHNUM, 0),
        ("phnum-max", E64_PHNUM, 0xFFFF),
        ("entry-outside", E64_ENTRY, kseg + 0xDEAD0000),
        ("entry-behind-the-first-byte", E64_ENTRY, kseg + 0x1010004),
        ("offset-max", (at + P64_OFFSET, "Q"), most),
        ("filesz-max", (at + P64_FILESZ, "Q"), most),
        ("filesz-over-memsz", (at + P64_MEMSZ, "Q"), 1),
        ("memsz-max", (at + P64_MEMSZ, "Q"), most),
        ("paddr-of-devices", (at + P64_PADDR, "Q"), kseg + 0x1FC00000000),
        ("paddr-wraps", (at + P64_PADDR, "Q"), most - 0xFFF),
        ("paddr-elsewhere", (at + P64_PADDR, "Q"), kseg + 0x1020000),
        ("paddr-beyond-memory", (at + P64_PADDR, "Q"), kseg + 0xE0000000),
        ("paddr-of-the-console", (at + P64_PADDR, "Q"), kseg + 0x10000),
        ("vaddr-elsewhere", (at + P64_VADDR, "Q"), kseg + 0x2010000),
    ):
        yield BadImage(name, with_field(good, *where, value))


def not_images() -> Iterator[BadImage]:
    yield BadImage("empty", b"")
    yield BadImage("text", b"Not every file is a kernel.\n" * 40)
    yield BadImage("zeros", bytes(8192))
