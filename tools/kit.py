# SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
"""What the demo and the QEMU tests boot: the reference kernel, Debian's kernels, the initramfs that speaks for them.

`prepare` makes sure of all of it: installs, fetches, builds what is missing or out of date, and nothing else.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import boot
from machine import BootError, Transcript


@dataclass(frozen=True)
class Linux:
    """A Debian kernel in the cache."""

    name: str  # linux-686
    image: Path  # .../vmlinuz-6.1.0-50-686

    @property
    def version(self) -> str:
        return self.image.name.removeprefix("vmlinuz-")

    @property
    def file(self) -> boot.File:
        """Where a running Debian would have its source, and the paper its kernel: `linux-6.1` is enough to find it."""
        return boot.File(f"/usr/src/linux-{self.version}/vmlinuz", self.image)

    @property
    def vmlinux(self) -> boot.File:
        """The kernel inside, unpacked."""
        path = boot.ROOT / "build/vmlinux" / f"vmlinux-{self.version}"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            new = path.with_name(f"{path.name}.{os.getpid()}")
            command = [sys.executable, str(boot.ROOT / "tools/extract-vmlinux"), str(self.image), str(new)]
            if subprocess.run(command, check=False).returncode != 0:
                raise BootError(f"{self.image} has no vmlinux that can be taken out")
            new.replace(path)
        return boot.File(f"/usr/src/linux-{self.version}/vmlinux", path)


@dataclass(frozen=True)
class Initramfs:
    path: Path
    checksum: str  # as its /init will print it

    @property
    def file(self) -> boot.File:
        return boot.File("/boot/initrd.img", self.path)


def make_initramfs(path: Path, *arguments: str | Path) -> Initramfs:
    command = [sys.executable, str(boot.ROOT / "tools/make-initramfs"), str(path), *map(str, arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise BootError("the initramfs cannot be built")
    return Initramfs(path, done.stdout.strip())


@dataclass(frozen=True)
class Alpha:
    """The same for Alphas."""

    kernel: Path  # the reference kernel
    log_tool: Path
    linux: Path | None  # a vmlinux
    init: Path | None

    @property
    def version(self) -> str:
        return self.linux.name.removeprefix("vmlinux-") if self.linux else ""

    @property
    def file(self) -> boot.File:
        """Under the name that Debian would have for its source."""
        return boot.File(f"/usr/src/linux-{self.version}/vmlinux", self.linux)

    def initramfs(self) -> Initramfs:
        return make_initramfs(boot.ROOT / "build/initramfs-alpha.gz", "--init", self.init, "--log-tool", self.log_tool)


def prepare_alpha(with_linux: bool) -> Alpha:
    """A Linux for it takes minutes to build, once."""
    built = boot.things_from("build.sh", "alpha")
    made = boot.things_from("alpha_linux.sh") if with_linux else {}
    return Alpha(built["reference-kernel-alpha"], built["lobos-log-alpha"], made.get("linux-alpha"),
                 made.get("alpha-init"))


@dataclass(frozen=True)
class Kit:
    kernels: dict[str, Path]  # the reference kernel, by its mode of paging
    linux_686: Linux
    linux_amd64: Linux
    busybox: Path
    log_tool: Path | None
    alpha: Alpha | None

    @property
    def reference_kernel(self) -> Path:
        """The first that was asked for."""
        return next(iter(self.kernels.values()))

    def initramfs(self, filler: int = 0) -> Initramfs:
        """Builds it, with so many MiB more that do not compress."""
        path = boot.ROOT / "build" / (f"initramfs-{filler}.gz" if filler else "initramfs.gz")
        options: list[str | Path] = ["--busybox", self.busybox]
        if self.log_tool:
            options += ["--log-tool", self.log_tool]
        if filler:
            options += ["--filler", str(filler)]
        return make_initramfs(path, *options)


def prepare(reference_kernel: Path | None = None, log_tool: Path | None = None,
            modes: Iterable[str] = ("4m",)) -> Kit:
    """With the reference kernel in these modes of paging. One that is given is all of them, and nothing is built. The mode
    "alpha" stands for that machine, and "alpha-linux" for a Linux for it, which takes minutes to build."""
    modes = tuple(modes)
    kernels = [mode for mode in modes if mode not in ("alpha", "alpha-linux")]
    built = boot.things_from("build.sh", *kernels) if reference_kernel is None else {}
    fetched = boot.things_from("kernels.sh")
    alpha = prepare_alpha("alpha-linux" in modes) if "alpha" in modes else None
    return Kit(
        kernels={mode: reference_kernel or built[f"reference-kernel-{mode}"] for mode in kernels},
        linux_686=Linux("linux-686", fetched["linux-686"]),
        linux_amd64=Linux("linux-amd64", fetched["linux-amd64"]),
        busybox=fetched["busybox"],
        log_tool=log_tool or built.get("lobos-log"),
        alpha=alpha,
    )


# What the initramfs says ---------------------------------------------------------------------------------------------


def said(lines: list[str], key: str) -> str | None:
    """What follows `init: KEY: ` in the output, or None."""
    prefix = f"init: {key}: "
    return next((line.removeprefix(prefix) for line in lines if line.startswith(prefix)), None)


def surviving_log(lines: list[str]) -> list[str]:
    """The lines of the log that survived, as the initramfs printed them."""
    try:
        begin = lines.index("init: surviving log") + 1
        end = lines.index("init: powering off", begin)
    except ValueError:
        return []
    return lines[begin:end]


# What the reference kernel says --------------------------------------------------------------------------------------

GENERATION = re.compile(r"lobos: reference kernel, generation (\d+)")
REPORT = re.compile(r"(?:lobos: )?report: (.+?) = (\d+)(?: (.*))?$")

PICTURE = re.compile(r"lobos: picture: (before|after) (0x[0-9a-fA-F]+) (0x[0-9a-fA-F]+) (.+)$")


@dataclass(frozen=True)
class Figure:
    """One line of a generation's report."""

    value: int
    unit: str


def figures(lines: Iterable[str]) -> dict[str, Figure]:
    """The report in these lines."""
    found = (REPORT.match(line) for line in lines)
    return {match[1]: Figure(int(match[2]), match[3] or "") for match in found if match}


@dataclass(frozen=True)
class Stretch:
    """One line of its picture of memory: both ends belong to it."""

    first: int
    last: int
    what: str


@dataclass(frozen=True)
class Generation:
    """What one generation of the reference kernel said, from its first line to its point of no return or its end."""

    number: int
    lines: tuple[str, ...]

    def picture(self, when: str) -> list[Stretch]:
        """What lies where, `before` or `after` the exec."""
        found = [match for line in self.lines if (match := PICTURE.match(line)) and match[1] == when]
        return [Stretch(int(match[2], 16), int(match[3], 16), match[4]) for match in found]

    def figures(self) -> dict[str, Figure]:
        return figures(self.lines)

    def first(self, pattern: str) -> re.Match | None:
        return next((match for line in self.lines if (match := re.search(pattern, line))), None)


def generations(transcript: Transcript) -> list[Generation]:
    """Only what was said before the target spoke: it may print the log, which holds the same lines again."""
    text = bytes(transcript.output[:transcript.target_start]) if transcript.execs else b""
    result: list[tuple[int, list[str]]] = []
    for line in text.decode(errors="replace").replace("\r", "").split("\n"):
        if match := GENERATION.match(line):
            result.append((int(match[1]), []))
        if result and line:
            result[-1][1].append(line)
    return [Generation(number, tuple(lines)) for number, lines in result]
