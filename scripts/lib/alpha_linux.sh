#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#
# A Linux for Alpha, and the program that its initramfs starts, built into the cache: Debian has a source and a compiler
# for it, but no such kernel. The cache is ${LOBOS_CACHE:-build/cache}; what lies in it already is not built again.
#
#   alpha_linux.sh [linux-alpha] [alpha-init]      both without an argument
#
# Each line of its output says what a thing is and where: `linux-alpha=/.../vmlinux-6.1.192-lobos`. The kernel takes about
# four minutes of one processor and a gigabyte of disk while it is made. To be run, or to be sourced for
# build_alpha_linux, which does the same.

lobos_root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=scripts/lib/packages.sh
. "$lobos_root/scripts/lib/packages.sh"

lobos_cache=${LOBOS_CACHE:-$lobos_root/build/cache}
case $lobos_cache in /*) ;; *) lobos_cache=$PWD/$lobos_cache ;; esac

# What building takes; also for scripts that want to install everything at the start.
alpha_compiler_packages=(g++-12-alpha-linux-gnu)
alpha_linux_packages=(linux-source gcc-alpha-linux-gnu make bc bison flex xz-utils)

# What makes this kernel: nothing but the machine, an initramfs, a serial line, and memory as a file for whoever looks
# for a log in it. Only a kernel for every Alpha starts where today's do, at 0xfffffc0001010000: one for a Clipper alone
# takes the start of the first boot loaders.
alpha_linux_options() {
    printf '%s=y\n' CONFIG_ALPHA_GENERIC CONFIG_PCI CONFIG_EXPERT CONFIG_PRINTK CONFIG_MULTIUSER CONFIG_MATHEMU \
        CONFIG_BLK_DEV_INITRD CONFIG_RD_GZIP CONFIG_BINFMT_ELF CONFIG_BINFMT_SCRIPT CONFIG_PROC_FS CONFIG_PROC_SYSCTL \
        CONFIG_SYSFS CONFIG_DEVTMPFS CONFIG_DEVMEM CONFIG_POSIX_TIMERS CONFIG_FUTEX CONFIG_TTY CONFIG_SERIAL_8250 \
        CONFIG_SERIAL_8250_CONSOLE
    printf '%s\n' 'CONFIG_LOCALVERSION="-lobos"' '# CONFIG_ALPHA_LEGACY_START_ADDRESS is not set'
}

# unpack_alpha_source ARCHIVE DIRECTORY: the source without most of what a kernel for Alpha does not compile. Kconfig reads
# something everywhere, so whole folders cannot be left out.
unpack_alpha_source() {
    local -a without=()
    local folder
    for folder in drivers/gpu drivers/media drivers/staging drivers/infiniband sound tools/testing tools/perf; do
        without+=("--exclude=*/$folder/*.[chS]")
    done
    mkdir -p "$2" &&
        tar --extract --xz --file "$1" --directory "$2" --strip-components 1 --exclude='*/Documentation/*/*' \
            --exclude='*/arch/[b-z]*/*.[chS]' --exclude='*/arch/ar[cm]*/*.[chS]' --exclude='*.dts' --exclude='*.dtsi' \
            "${without[@]}"
}

# in_source ARGUMENT...: make, in the folder it is called in.
in_source() {
    make ARCH=alpha CROSS_COMPILE=alpha-linux-gnu- KBUILD_BUILD_USER=lobos KBUILD_BUILD_HOST=lobos \
        KBUILD_BUILD_TIMESTAMP='Sat Jan  1 00:00:00 UTC 2000' "$@"
}

# report_progress: of a long output, what stage it has come to. All of it goes to the file named.
report_progress() {
    awk -v log_file="$1" -v name="${0##*/}" '
        { print > log_file }
        /^  (CC|AS|LD|AR) / && ++n % 100 == 0 { printf "%s: %d files built\n", name, n; fflush() }' >&2
}

# make_alpha_kernel WORK: a vmlinux in the folder WORK/source, from nothing. Each of its commands is checked, since
# whoever calls this asks for its status.
make_alpha_kernel() (
    set -o pipefail
    archives=(/usr/src/linux-source-*.tar.xz)
    [[ -s ${archives[-1]} ]] || { note "linux-source has no archive" && exit 1; }
    note "unpacking ${archives[-1]##*/}"
    unpack_alpha_source "${archives[-1]}" "$1/source" || exit 1
    alpha_linux_options >"$1/options"
    cd "$1/source" || exit 1
    in_source allnoconfig KCONFIG_ALLCONFIG="$1/options" >"$1/configure.log" 2>&1 || { tail -n 5 "$1/configure.log" >&2 && exit 1; }
    while read -r option; do
        grep --quiet --line-regexp --fixed-strings -- "$option" .config || { note "this Linux has no $option" && exit 1; }
    done <"$1/options"
    note "building Linux for Alpha, about 800 files"
    in_source --jobs "$(nproc)" vmlinux 2>&1 | report_progress "$1/build.log" || { tail -n 20 "$1/build.log" >&2 && exit 1; }
)

# alpha_kernel: prints linux-alpha=FILE, from the cache or after building it. What it was built with lies beside it.
alpha_kernel() {
    local directory=$lobos_cache/linux-alpha work=$lobos_cache/linux-alpha.new file release
    if [[ ! -e $directory/options ]] || ! cmp --quiet "$directory/options" <(alpha_linux_options); then
        need_packages "${alpha_linux_packages[@]}" || return 1
        rm -rf "$work" && mkdir -p "$work"
        make_alpha_kernel "$work" || {
            note "Linux for Alpha does not build, see $work"
            return 1
        }
        release=$(cat "$work/source/include/config/kernel.release") || return 1
        rm -rf "$directory" && mkdir -p "$directory" || return 1
        mv "$work/source/vmlinux" "$directory/vmlinux-$release" && mv "$work/options" "$directory/options" || return 1
        rm -rf "$work"
    fi
    for file in "$directory"/vmlinux-*; do
        [[ -s $file ]] && printf 'linux-alpha=%s\n' "$file" && return 0
    done
    note "there is no kernel in $directory"
    return 1
}

# alpha_init: prints alpha-init=FILE, built if its source is newer. Relaxed by the linker of binutils 2.40, a static
# program looks for its thread's variables in the wrong places.
alpha_init() {
    local source=$lobos_root/tools/init.cpp file=$lobos_cache/alpha-init/init
    if [[ ! $file -nt $source ]]; then
        need_packages "${alpha_compiler_packages[@]}" || return 1
        mkdir -p "${file%/*}"
        alpha-linux-gnu-g++-12 -std=c++23 -O2 -I "$lobos_root/include" -static -Wl,--no-relax -Wl,--strip-all \
            -o "$file.new" "$source" && mv "$file.new" "$file" || return 1
    fi
    printf 'alpha-init=%s\n' "$file"
}

build_alpha_linux() {
    local name
    [[ $# -gt 0 ]] || set -- linux-alpha alpha-init
    mkdir -p "$lobos_cache"
    # Two of us at the same time must not build over each other.
    exec 7>"$lobos_cache/.alpha.lock"
    flock 7
    for name in "$@"; do
        case $name in
        linux-alpha) alpha_kernel ;;
        alpha-init) alpha_init ;;
        *)
            note "no such thing for Alpha: $name"
            return 1
            ;;
        esac || return 1
    done
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
    build_alpha_linux "$@"
fi
