#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#
# The reference kernel in its modes of paging and lobos-log, built when out of date, with the packages this takes and
# QEMU.
#
#   build.sh [--clang] [MODE...]    MODE is 4m, 4k, pae, 4level or 5level; all of them if none is named. Or it is
#                                   alpha, for that machine, which clang does not know
#
# Prints `reference-kernel-MODE=FILE` for each mode and `lobos-log=FILE`, and for alpha `lobos-log-alpha=FILE`; the rest is
# standard error. To be run, or to be sourced for build_reference_kernels, which does the same.

lobos_root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=scripts/lib/packages.sh
. "$lobos_root/scripts/lib/packages.sh"

# What building and booting takes; also for scripts that want to install everything at the start.
# shellcheck disable=SC2034
lobos_boot_packages=(cmake ninja-build g++-12 g++-12-multilib qemu-system-x86 python3)
lobos_alpha_packages=(g++-12-alpha-linux-gnu qemu-system-misc)

# preset_of MODE: the CMake preset that builds the mode's kernel.
preset_of() {
    case $1 in
    4m | 4k | pae) printf 'freestanding-i386\n' ;;
    4level | 5level) printf 'freestanding-x86_64\n' ;;
    alpha) printf 'freestanding-alpha\n' ;;
    *)
        note "no such mode of paging: $1"
        return 1
        ;;
    esac
}

# quietly COMMAND...: its output is shown only if it fails.
quietly() {
    local output status=0
    output=$("$@" 2>&1) || status=$?
    [[ $status -eq 0 ]] || printf '%s\n' "$output" >&2
    return "$status"
}

# build_targets PRESET TARGET...: two of us at the same time do not build over each other.
build_targets() (
    preset=$1
    shift
    mkdir -p "$lobos_root/build" && cd "$lobos_root" || exit 1
    exec 9>"$lobos_root/build/.$preset.lock"
    flock 9
    quietly cmake --preset "$preset" && quietly cmake --build --preset "$preset" --target "$@"
)

build_reference_kernels() {
    local compiler='' mode preset
    local -A targets=([freestanding-i386]=lobos-log) # the tool runs in an initramfs of 32 bits
    if [[ ${1-} == --clang ]]; then
        compiler=-clang
        shift
    fi
    [[ $# -gt 0 ]] || set -- 4m 4k pae 4level 5level
    for mode in "$@"; do
        preset=$(preset_of "$mode") || return 1
        targets[$preset]+=" reference-kernel-$mode"
    done
    need_packages "${lobos_boot_packages[@]}" || return 1
    [[ -z $compiler ]] || need_packages clang-19 || return 1
    if [[ -n ${targets[freestanding-alpha]-} ]]; then
        [[ -z $compiler ]] || { note "clang does not know Alpha" && return 1; }
        need_packages "${lobos_alpha_packages[@]}" || return 1
        targets[freestanding-alpha]+=" lobos-log"
    fi
    note "building the reference kernel: $*"
    for preset in "${!targets[@]}"; do
        # The names of targets are words.
        # shellcheck disable=SC2086
        build_targets "$preset$compiler" ${targets[$preset]} || {
            note "the reference kernel does not build"
            return 1
        }
    done
    for mode in "$@"; do
        preset=$(preset_of "$mode")$compiler
        printf 'reference-kernel-%s=%s\n' "$mode" \
            "$lobos_root/build/$preset/examples/reference-kernel/reference-kernel-$mode.elf"
    done
    printf 'lobos-log=%s\n' "$lobos_root/build/freestanding-i386$compiler/tools/lobos-log"
    [[ -z ${targets[freestanding-alpha]-} ]] ||
        printf 'lobos-log-alpha=%s\n' "$lobos_root/build/freestanding-alpha/tools/lobos-log"
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
    build_reference_kernels "$@"
fi
