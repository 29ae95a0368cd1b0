# SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
"""How the reference kernel and its files get into a machine: QEMU's arguments for each loader. `place` is an empty folder
for what has to be made, `line` the kernel's command line.
"""

import importlib.machinery
import importlib.util
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from machine import BootError

LONGEST_ALPHA_LINE = 255  # what QEMU hands on

BOOT_FILE = "EFI/BOOT/BOOTX64.EFI"  # what firmware starts from a disk that it knows nothing of [uefi/2.9 §3.5.1.1]
GRUB_MODULES = ("multiboot2", "part_msdos", "fat", "boot")
GRUB_ROOT = "(hd0,msdos1)"


@dataclass(frozen=True)
class File:
    """A file for the reference kernel, by the name that it finds it under."""

    name: str
    path: Path


def by_multiboot(place: Path, kernel: Path, line: str, files: Sequence[File]) -> list[str]:
    """QEMU itself, on a PC. It parts a list of modules at commas and a module from its name at a blank, so every path is
    replaced by a link that has neither."""
    def link(name: str, path: Path) -> str:
        (place / name).symlink_to(path.resolve())
        return str(place / name)

    modules = [f"{link(f'm{number}', file.path)} {file.name}" for number, file in enumerate(files)]
    return ["-kernel", link("kernel", kernel), "-initrd", ",".join(modules), "-append", line]


def cpio():
    """tools/make-initramfs as a module: its name has no .py."""
    root = Path(__file__).resolve().parent
    loader = importlib.machinery.SourceFileLoader("make_initramfs", str(root / "make-initramfs"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    sys.modules[loader.name] = module
    loader.exec_module(module)
    return module


def archive(files: dict[str, bytes]) -> bytes:
    """Files in one, for a loader that takes no more: a cpio archive."""
    make = cpio()
    return make.archive([make.program(name, content) for name, content in files.items()])


def by_archive(place: Path, kernel: Path, line: str, files: Sequence[File]) -> list[str]:
    """QEMU itself, on an Alpha, where it loads a kernel and one file."""
    if len(f"reference-kernel {line}".encode()) > LONGEST_ALPHA_LINE - len(" generation=00000"):
        raise BootError(f"the command line is too long: an Alpha's loader takes {LONGEST_ALPHA_LINE} characters, the "
                        "names of all files among them")
    whole = place / "files"
    whole.write_bytes(archive({file.name: file.path.read_bytes() for file in files}))
    return ["-kernel", str(kernel), "-initrd", str(whole), "-append", f"reference-kernel {line}"]


def words_of(command_line: str) -> list[str]:
    """The command line in words that GRUB passes on as they are. It would put a backslash before each quote and backslash,
    and one blank where there are several.

    >>> words_of("exec=a -- b=$c")
    ["'exec=a'", "'--'", "'b=$c'"]
    """
    words = command_line.split(" ") if command_line else []
    if any(not word or not word.isprintable() or any(letter in word for letter in "\\'\"") for word in words):
        raise BootError("GRUB, which --firmware efi starts by, passes on no quotes, backslashes or rows of blanks")
    return [f"'{word}'" for word in words]


def command(name: str, *arguments: str) -> str:
    return " ".join([name, *arguments])


def by_efi(firmware: Path, place: Path, kernel: Path, line: str, files: Sequence[File]) -> list[str]:
    """GRUB, which EFI firmware starts from a disk, and which loads by multiboot 2. The folder is the disk: QEMU makes a
    file system of it."""
    def command(name: str, *arguments: str) -> str:
        return " ".join([name, *arguments])

    (place / "kernel").symlink_to(kernel.resolve())
    lines = [command("multiboot2", f"{GRUB_ROOT}/kernel", "reference-kernel", *words_of(line))]
    for number, file in enumerate(files):
        (place / f"m{number}").symlink_to(file.path.resolve())
        lines.append(command("module2", f"{GRUB_ROOT}/m{number}", *words_of(file.name)))
    image = place / BOOT_FILE
    image.parent.mkdir(parents=True)
    config = place / "grub.cfg"
    config.write_text("\n".join([*lines, "boot"]) + "\n")
    make = ["grub-mkimage", "-O", "x86_64-efi", "-p", "/", "-c", config, "-o", image, *GRUB_MODULES]
    made = subprocess.run(make, capture_output=True, text=True, check=False)
    if made.returncode != 0:
        raise BootError(f"grub-mkimage makes no image: {made.stderr.strip()}")
    return ["-bios", str(firmware), "-drive", f"file=fat:{place},format=raw,if=virtio,readonly=on"]
