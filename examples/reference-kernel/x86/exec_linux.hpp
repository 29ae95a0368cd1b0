// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The ways into a Linux kernel.

#include "../exec.hpp"
#include "rsdp.hpp"

#include <lobos/image/bzimage.hpp>
#include <lobos/image/vmlinux.hpp>
#include <lobos/machine/legacy_devices.hpp>
#include <lobos/machine/random.hpp>
#include <lobos/x86/linux16_entry.hpp>
#include <lobos/x86/linux32_entry.hpp>
#include <lobos/x86/linux64_entry.hpp>
#include <lobos/x86/vmlinux_entry.hpp>

namespace kernel {

/// What a Linux is asked for by its way in.
inline lobos::linux_request linux_request_of(const exec_request& request, lobos::linux_entry entry)
{
    lobos::linux_request wanted{.command_line = request.asked.target, .entry = entry};
    if (request.asked.above_4g && mapped_above_4g)
        wanted.within = *mapped_above_4g;
    return wanted;
}

/// Enters as `Contract` says what `load` makes of the image and, if there is one, the initrd.
template <class Contract, class Load>
lobos::text_line exec_linux(const exec_request& request, lobos::linux_entry entry, const Load& load)
{
    const lobos::linux_request wanted = linux_request_of(request, entry);
    std::array<std::byte, 32> random; // as much as Linux wants for its generator
    const bool seeded = lobos::machine::random_bytes(random);
    const std::span<const std::byte> seed{random.data(), seeded ? random.size() : 0};
    const auto enter = [&](const lobos::result<lobos::linux_image>& image) {
        return image
            ? go(request,
                  Contract{*image, {.acpi_rsdp = find_rsdp(), .efi = request.host.efi.firmware, .rng_seed = seed}})
            : in_words(image.error());
    };
    const image_bytes kernel = request.image.source();
    if (request.asked.initrd.empty())
        return enter(load(kernel, wanted, request.host.map));
    return with_file(request, request.asked.initrd,
        [&](const file_in_memory& initrd) { return enter(load(kernel, initrd.source(), wanted, request.host.map)); });
}

template <class Contract> lobos::text_line exec_bzimage(const exec_request& request, lobos::linux_entry entry)
{
    return exec_linux<Contract>(request, entry, [](const auto&... of) { return load_bzimage(of...); });
}

template <class Contract, class Class>
lobos::text_line exec_vmlinux(const exec_request& request, lobos::linux_entry entry)
{
    return exec_linux<Contract>(request, entry, [](const auto&... of) { return lobos::load_vmlinux<Class>(of...); });
}

inline lobos::text_line exec_linux32(const exec_request& request)
{
    return exec_bzimage<lobos::x86::linux32_entry>(request, lobos::linux_entry::protected_32);
}

inline lobos::text_line exec_linux64(const exec_request& request)
{
    return exec_bzimage<lobos::x86::linux64_entry>(request, lobos::linux_entry::long_64);
}

/// By the 16-bit entry, in real mode: its setup code asks the BIOS.
inline lobos::text_line exec_linux_real(const exec_request& request)
{
    const lobos::linux_request wanted = linux_request_of(request, lobos::linux_entry::protected_32);
    const image_bytes kernel = request.image.source();
    const auto enter = [&](const lobos::result<lobos::linux16_image>& image) {
        if (!image)
            return in_words(image.error());
        // This kernel never took an interrupt by the controllers, so their masks are still the BIOS's own.
        lobos::machine::restore_bios_devices(lobos::machine::read_interrupt_masks());
        return go(request, lobos::x86::linux16_entry{kernel, *image});
    };
    if (request.asked.initrd.empty())
        return enter(load_linux16(kernel, wanted, request.host.map));
    return with_file(request, request.asked.initrd, [&](const file_in_memory& initrd) {
        return enter(load_linux16(kernel, initrd.source(), wanted, request.host.map));
    });
}

inline lobos::text_line exec_vmlinux32(const exec_request& request)
{
    return exec_vmlinux<lobos::x86::vmlinux32_entry, lobos::elf32_class>(request, lobos::linux_entry::protected_32);
}

inline lobos::text_line exec_vmlinux64(const exec_request& request)
{
    return exec_vmlinux<lobos::x86::vmlinux64_entry, lobos::elf64_class>(request, lobos::linux_entry::long_64);
}

} // namespace kernel
