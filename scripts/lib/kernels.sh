#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#
# Debian's kernels, and the busybox of the initramfs, fetched into a cache and unpacked there; never installed.
# The cache is ${LOBOS_CACHE:-build/cache}; what lies in it already is not fetched again.
#
#   kernels.sh [linux-686] [linux-amd64] [busybox]     all three without an argument
#   kernels.sh kexec-tools                             Linux's own kexec; its libraries lie beside it, a folder each
#
# Each line of its output says what a thing is and where: `linux-686=/.../vmlinuz-6.1.0-50-686`. To be run, or to be
# sourced for fetch_kernels, which does the same.

lobos_root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=scripts/lib/packages.sh
. "$lobos_root/scripts/lib/packages.sh"

lobos_cache=${LOBOS_CACHE:-$lobos_root/build/cache}
case $lobos_cache in /*) ;; *) lobos_cache=$PWD/$lobos_cache ;; esac

# private_apt ARCHITECTURE TOOL ARGUMENT...: apt with a state of its own inside the cache. The machine's architectures,
# indices and packages stay as they are, it needs no root, and /dev/null as its dpkg status means "nothing installed".
private_apt() {
    local architecture=$1 tool=$2 state=$lobos_cache/apt-$1
    local -a sources=()
    shift 2
    mkdir -p "$state/lists/partial" "$state/cache/archives/partial"
    [[ -e $state/sources.list ]] &&
        sources=(-o "Dir::Etc::SourceList=$state/sources.list" -o "Dir::Etc::SourceParts=/dev/null")
    "$tool" --quiet "${sources[@]}" \
        -o "APT::Architecture=$architecture" -o "APT::Architectures=$architecture" \
        -o "Dir::State::Lists=$state/lists" -o "Dir::Cache=$state/cache" -o "Dir::State::status=/dev/null" \
        -o "APT::Sandbox::User=" -o "Debug::NoLocking=1" \
        -o "Acquire::Languages=none" -o "Acquire::PDiffs=false" -o "Acquire::Retries=3" \
        "$@"
}

# refresh_index ARCHITECTURE: an index that fails (security's, while its mirror is being renewed) leaves the others
# usable. Whether what is needed is there shows when it is asked for.
refresh_index() {
    note "reading Debian's $1 package index"
    private_apt "$1" apt-get update >&2 || note "some of the $1 index could not be read; going on with the rest"
}

# ask_debian_12 ARCHITECTURE: from now on, this architecture's state knows the machine's Debian mirror and release 12
# alone. Later releases have no kernel for 32-bit machines.
ask_debian_12() {
    local mirror
    # The dollar signs are apt's.
    # shellcheck disable=SC2016
    mirror=$(apt-get indextargets --format '$(ORIGIN) $(COMPONENT) $(CODENAME) $(REPO_URI)' 'Identifier: Packages' |
        sed -nE '/-security|-updates/d; s/^Debian main [a-z]+ //p' | head -n 1)
    [[ -n $mirror ]] || return 1
    note "asking Debian 12 (bookworm) at $mirror"
    printf 'deb [signed-by=%s] %s bookworm main\n' \
        /usr/share/keyrings/debian-archive-keyring.gpg "$mirror" >"$lobos_cache/apt-$1/sources.list"
    refresh_index "$1"
}

# real_package ARCHITECTURE PACKAGE: linux-image-686 is a name for the newest linux-image-6.1.0-NN-686; prints that one.
# A package that stands for itself is printed as it is. Fails when the index does not have it.
real_package() {
    local depends
    depends=$(private_apt "$1" apt-cache depends --important "$2" 2>/dev/null) || return 1
    [[ -n $depends ]] || return 1
    if [[ $2 == linux-image-* ]]; then
        sed -nE 's/^ *\|?Depends: (linux-image-[0-9][^ ]*)$/\1/p' <<<"$depends" | head -n 1 | grep .
    else
        printf '%s\n' "$2"
    fi
}

# unpack_file ARCHITECTURE PACKAGE PATTERN DIRECTORY: the package's files that PATTERN names, under DIRECTORY. What is
# half done is never taken for done: everything happens in a directory beside it that is renamed at the end.
unpack_file() {
    local architecture=$1 package=$2 pattern=$3 directory=$4 work=$4.new
    note "fetching $package ($architecture)"
    rm -rf "$work"
    mkdir -p "$work/download" "$work/files"
    (cd "$work/download" && private_apt "$architecture" apt-get download "$package" >&2) || return 1
    (
        set -o pipefail
        dpkg-deb --fsys-tarfile "$work/download/"*.deb |
            tar --extract --directory "$work/files" --no-same-owner --wildcards "./$pattern"
    ) || return 1
    rm -rf "$directory"
    mv "$work/files" "$directory"
    rm -rf "$work"
}

# cached_file DIRECTORY PATTERN: the one file in it that the pattern names; fails when there is none.
cached_file() {
    local file
    # The pattern is one on purpose.
    # shellcheck disable=SC2231
    for file in "$1"/$2; do
        [[ -s $file ]] && printf '%s\n' "$file" && return 0
    done
    return 1
}

# fetch_one NAME ARCHITECTURE PACKAGE PATTERN: prints NAME=FILE, from the cache or after fetching it. The index is read
# when there is none, and read again when it is so old that the archive no longer has what it names.
fetch_one() {
    local name=$1 architecture=$2 package=$3 pattern=$4 directory=$lobos_cache/$1 file real
    if ! file=$(cached_file "$directory" "$pattern"); then
        real=$(real_package "$architecture" "$package") ||
            { refresh_index "$architecture" && real=$(real_package "$architecture" "$package"); } ||
            { ask_debian_12 "$architecture" && real=$(real_package "$architecture" "$package"); } || {
            note "no package index has $package ($architecture)"
            return 1
        }
        if ! unpack_file "$architecture" "$real" "$pattern" "$directory"; then
            refresh_index "$architecture"
            real=$(real_package "$architecture" "$package") || return 1
            unpack_file "$architecture" "$real" "$pattern" "$directory" || {
                note "cannot fetch Debian's $package ($architecture)"
                return 1
            }
        fi
        file=$(cached_file "$directory" "$pattern") || return 1
    fi
    printf '%s=%s\n' "$name" "$file"
}

# libraries_of ARCHITECTURE PACKAGE: the packages of libraries that it needs, and that these need, without debconf's.
libraries_of() {
    local -a first
    mapfile -t first < <(private_apt "$1" apt-cache depends --important "$2" | sed -nE 's/^ *Depends: (lib[^ ]*)$/\1/p')
    [[ ${#first[@]} -gt 0 ]] || return 1
    private_apt "$1" apt-cache depends --recurse --important "${first[@]}" | grep -E '^(lib|zlib)[^ ]*$' | sort -u
}

# fetch_kexec_tools: Linux's kexec (amd64), and what it is linked to, in a folder for each package.
fetch_kexec_tools() {
    local kexec libraries=$lobos_cache/kexec-libraries package
    kexec=$(fetch_one kexec-tools amd64 kexec-tools 'sbin/kexec') || return 1
    if [[ ! -e $libraries/.complete ]]; then
        mkdir -p "$libraries"
        for package in $(libraries_of amd64 kexec-tools); do
            # The dynamic linker's name begins with ld.
            unpack_file amd64 "$package" '*lib/x86_64-linux-gnu/l*.so*' "$libraries/$package" || return 1
        done
        : >"$libraries/.complete"
    fi
    printf '%s\nkexec-libraries=%s\n' "$kexec" "$libraries"
}

fetch_kernels() {
    local name
    [[ $# -gt 0 ]] || set -- linux-686 linux-amd64 busybox
    mkdir -p "$lobos_cache"
    # Two of us at the same time must not unpack over each other.
    exec 8>"$lobos_cache/.lock"
    flock 8
    for name in "$@"; do
        case $name in
            linux-686) fetch_one "$name" i386 linux-image-686 'boot/vmlinuz-*' ;;
            linux-amd64) fetch_one "$name" amd64 linux-image-amd64 'boot/vmlinuz-*' ;;
            busybox) fetch_one "$name" i386 busybox-static 'bin/busybox' ;;
            kexec-tools) fetch_kexec_tools ;;
            *)
                note "no such kernel: $name"
                return 1
                ;;
        esac || return 1
    done
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
    fetch_kernels "$@"
fi
