#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#
# The reference kernel and lobos-log, built when out of date, with the packages this takes and QEMU.
#
#   build.sh [PRESET]    prints `reference-kernel=FILE` and `lobos-log=FILE`; the rest is standard error
#
# To be run, or to be sourced for build_reference_kernel, which does the same.

lobos_root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=scripts/lib/packages.sh
. "$lobos_root/scripts/lib/packages.sh"

# What building and booting takes; also for scripts that want to install everything at the start.
# shellcheck disable=SC2034
lobos_boot_packages=(cmake ninja-build g++-12 g++-12-multilib qemu-system-x86 python3)

# quietly COMMAND...: its output is shown only if it fails.
quietly() {
    local output status=0
    output=$("$@" 2>&1) || status=$?
    [[ $status -eq 0 ]] || printf '%s\n' "$output" >&2
    return "$status"
}

# build_reference_kernel [PRESET]: a CMake preset, freestanding-i386 if none is named.
build_reference_kernel() {
    local preset=${1:-freestanding-i386} binaries
    binaries=$lobos_root/build/$preset
    need_packages "${lobos_boot_packages[@]}" || return 1
    [[ $preset != *clang ]] || need_packages clang-19 || return 1
    note "building the reference kernel"
    (
        # Two of us at the same time must not build over each other.
        mkdir -p "$lobos_root/build" && cd "$lobos_root" || exit 1
        exec 9>"$lobos_root/build/.$preset.lock"
        flock 9
        quietly cmake --preset "$preset" &&
            quietly cmake --build --preset "$preset" --target reference-kernel lobos-log
    ) || {
        note "the reference kernel does not build"
        return 1
    }
    printf 'reference-kernel=%s\n' "$binaries/examples/reference-kernel/reference-kernel.elf"
    printf 'lobos-log=%s\n' "$binaries/tools/lobos-log"
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
    build_reference_kernel "$@"
fi
