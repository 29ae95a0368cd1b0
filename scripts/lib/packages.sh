# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#
# Debian packages: what is missing is installed, what is there is left alone. To be sourced.
#
#   need_packages PACKAGE...   returns 0 when every package is installed at the end

# note TEXT...: what a script is doing, on standard error, so that results keep standard output to themselves.
note() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }

# die TEXT...: the same, and the end of the script. Status 2 is everywhere "could not even begin".
die() {
    note "$@"
    exit 2
}

# missing_packages PACKAGE...: prints those that are not installed, one in each line.
missing_packages() {
    local package
    for package in "$@"; do
        # Multi-arch packages may be listed more than once; one installed copy is enough.
        dpkg-query --show --showformat='${Status}\n' "$package" 2>/dev/null |
            grep --quiet '^install ok installed$' || printf '%s\n' "$package"
    done
}

# as_root COMMAND...: runs it as root, by sudo when need be.
as_root() {
    if [[ $(id -u) -eq 0 ]]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo -- "$@"
    else
        note "needs root for: $*  (no sudo here; run it yourself, then start this script again)"
        return 1
    fi
}

# apt_quietly ARGUMENT...: apt-get without questions. Its output is shown, since downloads take their time.
apt_quietly() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get --quiet --yes \
        -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300 "$@" >&2
}

need_packages() {
    local -a missing
    if ! command -v dpkg-query >/dev/null; then
        note "no dpkg here, so taking for granted: $*"
        return 0
    fi
    mapfile -t missing < <(missing_packages "$@")
    [[ ${#missing[@]} -eq 0 ]] && return 0

    note "installing ${missing[*]}"
    # An index of a foreign architecture may fail while its mirror is being renewed. What counts is the check below.
    apt_quietly update || note "apt-get update reported an error; going on with the indices there are"
    apt_quietly install --no-install-recommends "${missing[@]}" || true

    mapfile -t missing < <(missing_packages "$@")
    [[ ${#missing[@]} -eq 0 ]] && return 0
    note "still missing: ${missing[*]}"
    return 1
}
