#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#
# EFI firmware for QEMU, and GRUB as a program of its: the packages, installed when missing.
#
#   efi.sh
#
# Prints `firmware=FILE`; the rest is standard error.

lobos_root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=scripts/lib/packages.sh
. "$lobos_root/scripts/lib/packages.sh"

need_packages ovmf grub-common grub-efi-amd64-bin || exit 1
firmware=/usr/share/ovmf/OVMF.fd
[[ -r $firmware ]] || {
    note "the package ovmf has no $firmware"
    exit 1
}
printf 'firmware=%s\n' "$firmware"
