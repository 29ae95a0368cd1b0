# SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
"""A disk for EFI firmware: GRUB, and what it loads by multiboot 2. The folder is the disk: QEMU makes a file system of it.
"""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from machine import BootError

BOOT_FILE = "EFI/BOOT/BOOTX64.EFI"  # what firmware starts from a disk that it knows nothing of [uefi/2.9 §3.5.1.1]
MODULES = ("multiboot2", "part_msdos", "fat", "boot")
ROOT = "(hd0,msdos1)"


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


def make_disk(disk: Path, kernel: Path, command_line: str, modules: Sequence[tuple[Path, str]]) -> list[str]:
    """Makes the empty folder `disk` one that starts `kernel`, and returns QEMU's arguments for it."""
    (disk / "kernel").symlink_to(kernel.resolve())
    lines = [command("multiboot2", f"{ROOT}/kernel", "reference-kernel", *words_of(command_line))]
    for number, (path, name) in enumerate(modules):
        (disk / f"m{number}").symlink_to(path.resolve())
        lines.append(command("module2", f"{ROOT}/m{number}", *words_of(name)))
    image = disk / BOOT_FILE
    image.parent.mkdir(parents=True)
    config = disk / "grub.cfg"
    config.write_text("\n".join([*lines, "boot"]) + "\n")
    make = ["grub-mkimage", "-O", "x86_64-efi", "-p", "/", "-c", config, "-o", image, *MODULES]
    made = subprocess.run(make, capture_output=True, text=True, check=False)
    if made.returncode != 0:
        raise BootError(f"grub-mkimage makes no image: {made.stderr.strip()}")
    return ["-drive", f"file=fat:{disk},format=raw,if=virtio,readonly=on"]
