// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// A Linux about to be entered, for the tests of rule 11: its plan, its parameters in memory as the contract has
/// written them, and where it is entered in 64-bit mode its tables. Tests break one thing at a time.

#include <asm/bootparam.h> // linux-libc-dev: the parameters in the kernel's own words

#include <cstddef>

#include <lobos/image/vmlinux.hpp>
#include <lobos/x86/vmlinux_entry.hpp>

#include <tests/catch.hpp>
#include <tests/support/bzimage_builder.hpp>
#include <tests/support/elf_builder.hpp>
#include <tests/support/scratch_page.hpp>
#include <tests/support/sparse_memory.hpp>

namespace lobos::test {

/// What there is to tell.
struct linux_told {
    std::string command_line = "console=ttyS0 quiet";
    std::uint64_t initrd = 5000; ///< 0 for none
    std::size_t holes = 0;       ///< reserved pages in memory, with free ones between
    bool seed = false;
    std::optional<phys_addr> rsdp = {};
    std::optional<efi_firmware> efi = {};
    phys_addr pages = 0x30'0000_pa; ///< of parameters
    bzimage_builder kernel = {.init_size = 0x80'0000, .cmdline_size = 4095, .xloadflags = 1};
};

/// `Contract` is one of the four entries of Linux.
template <class Contract> struct told_linux {
    static constexpr bool is_64 = is_entered_paged<Contract>;
    static constexpr bool is_elf =
        std::is_same_v<Contract, x86::vmlinux32_entry> || std::is_same_v<Contract, x86::vmlinux64_entry>;
    using paging = x86::paging_4level;
    using context_type = verifier_context<sparse_memory>;
    static constexpr phys_addr code = 0x20'0000_pa;
    static constexpr phys_range acpi = phys_range::of(0x5000'0000_pa, 64_KiB);
    static constexpr phys_range nvs = phys_range::of(0x5001'0000_pa, 64_KiB);

    linux_told what;
    sparse_memory memory;
    memory_map map{{phys_range::between(0_pa, 0x9'ffff_pa), region_kind::usable},
        {phys_range::between(0xf'0000_pa, 0xf'ffff_pa), region_kind::reserved},
        {phys_range::between(0x10'0000_pa, 0x4fff'ffff_pa), region_kind::usable}, {acpi, region_kind::acpi_reclaimable},
        {nvs, region_kind::acpi_nvs}, {phys_range::of(0x1'0000'0000_pa, 1_GiB), region_kind::usable}};
    memory_map handed{};
    bytes seed = bytes(32, std::byte{0x5e});
    std::optional<scattered_file> kernel_file;
    linux_image image;
    std::vector<phys_addr> pages;
    std::vector<safe_region> safe;
    exec_plan plan{};
    x86::entry_registers found{};
    phys_addr next_table = 0x40'0000_pa; ///< nobody asks here whether tables are safe

    explicit told_linux(const linux_told& w = {}) : what{w}, image{make_image()} { tell(); }
    told_linux(const told_linux&) = delete;

    Contract contract() const
    {
        const std::size_t regions = what.holes == 0 ? boot_params::e820_max_entries : 2 * what.holes + 16;
        return Contract{image,
            {.acpi_rsdp = what.rsdp,
                .efi = what.efi,
                .rng_seed = what.seed ? std::span<const std::byte>{seed} : std::span<const std::byte>{},
                .regions = regions}};
    }

    fault verdict()
    {
        plan.safe = safe;
        const context_type context{plan, map.map, memory, {}, 1};
        return fault_of(contract().is_met(context, found));
    }

    phys_addr page() const { return pages[0]; }
    phys_addr line() const { return pages[1]; }
    template <class T> T get(std::size_t offset) { return load<T>(memory, page() + byte_count::of(offset)); }
    template <class T> void put(std::size_t offset, T value) { store(memory, page() + byte_count::of(offset), value); }
    ::boot_params params() { return load<::boot_params>(memory, page()); }

private:
    linux_image make_image()
    {
        for (std::size_t i = 0; i < what.holes; ++i)
            REQUIRE(map.map.add(
                phys_range::of(0x4000'0000_pa + byte_count::of(0x2000 * i), x86::page_size), region_kind::reserved));
        const linux_request request{.command_line = what.command_line,
            .within = image_reach(),
            .entry = is_64 ? linux_entry::long_64 : linux_entry::protected_32};
        const hollow_file initrd{what.initrd};
        const auto loaded = [&](const auto& file, auto with, auto without) {
            const auto got = what.initrd != 0 ? with(file, initrd, request, map.map) : without(file, request, map.map);
            REQUIRE(fault_of(got) == no_fault);
            return *got;
        };
        if constexpr (is_elf) {
            using elf = std::conditional_t<is_64, elf64, elf32>;
            static const scattered_file file{linked<elf>().build()};
            return loaded(
                file, [](auto&... a) { return load_vmlinux<typename elf::lobos_class>(a...); },
                [](auto&... a) { return load_vmlinux<typename elf::lobos_class>(a...); });
        } else {
            kernel_file.emplace(what.kernel.build());
            return loaded(
                *kernel_file, [](auto&... a) { return load_bzimage(a...); },
                [](auto&... a) { return load_bzimage(a...); });
        }
    }
    phys_range image_reach() const
    {
        return what.kernel.xloadflags == 3 ? phys_range::between(0x1'0000'0000_pa, 0x2'0000'0000_pa) : below_4g;
    }

    /// A kernel of two parts at 16 MiB, entered somewhere in the first.
    template <class Elf> static basic_elf_builder<Elf> linked()
    {
        auto kernel = small_kernel<Elf>();
        using address = typename Elf::address;
        for (auto& p : kernel.parts)
            if (p.p_type == PT_LOAD)
                p.p_paddr = static_cast<address>(p.p_paddr - Elf::phys + 0x100'0000);
        kernel.entry = 0x100'0010;
        return kernel;
    }

    void tell()
    {
        const Contract contract = this->contract();
        if (what.efi)
            write_firmware_map();
        for (std::size_t i = 0; i < contract.parameter_pages(); ++i)
            pages.push_back(what.pages + byte_count::of(i * x86::page_size.raw()));
        safe = {{phys_range::of(code, x86::page_size), safe_role::code},
            {phys_range::of(what.pages, byte_count::of(pages.size() * x86::page_size.raw())), safe_role::parameters}};
        REQUIRE(handed.map.copy_from(map.map));
        for (const safe_region& r : safe)
            REQUIRE(handed.map.add(r.range, region_kind::safe));
        memory.write(what.pages, bytes(pages.size() * x86::page_size.raw()));
        REQUIRE(fault_of(contract.write_parameters(memory, handed.map, pages, scratch_page())) == no_fault);
        found = contract.registers(pages);
        plan.image = image.segments;
        plan.entry = contract.entry();
        plan.entered_paged = is_64;
        if (is_64)
            make_tables(contract);
    }

    /// Free memory by three names, tables, and what the firmware works with at run time, one page of it a device's.
    void write_firmware_map()
    {
        constexpr std::uint64_t any_cache = 15, run_time = efi::descriptor::at_run_time;
        const efi::descriptor all[] = {{efi::conventional, 0, 0, 0, 0xa0, any_cache},
            {efi::boot_services_data, 0, 0x10'0000, 0, 0xff00, any_cache},
            {efi::loader_data, 0, 0x1000'0000, 0, 0x4'0000, any_cache},
            {efi::acpi_reclaimable, 0, acpi.first().raw(), 0, 16, any_cache},
            {efi::runtime_services_data, 0, nvs.first().raw(), 0, 16, any_cache | run_time},
            {efi::runtime_services_code, 0, 0x5002'0000, 0, 4, any_cache | run_time},
            {efi::conventional, 0, 0x1'0000'0000, 0, 0x4'0000, any_cache}, {11, 0, 0xfec0'0000, 0, 1, 1 | run_time}};
        phys_addr at = what.efi->memory_map.first();
        for (const efi::descriptor& d : all) {
            store(memory, at, d);
            at += byte_count::of(what.efi->descriptor_size);
        }
    }

    void make_tables(const Contract& contract)
    {
        const auto add = [&](auto put) -> result<void> {
            for (const virtual_segment& v : contract.virtual_layout())
                if (const auto done = put(mapping{v.virtual_range, v.physical, access::read_write}); !done)
                    return done;
            for (const phys_addr p : pages)
                if (const auto done = put(identity_mapping<paging>(phys_range::of(p, x86::page_size))); !done)
                    return done;
            return {};
        };
        const auto frames = [&]() -> result<phys_addr> {
            next_table += x86::page_size;
            return next_table;
        };
        const auto made = clone_page_tables<paging>(memory, 0_pa, {}, add, frames);
        REQUIRE(fault_of(made) == no_fault);
        made->flush.done_by_loading_the_root();
        plan.entry_root = made->root;
    }
};

inline fault broken_at(phys_addr at)
{
    return {fault_code::entry_contract_broken, stage::verifying, at.raw()};
}

/// The last two of its descriptors are of no pages.
inline const efi_firmware firmware{.is_64_bit = true,
    .system_table = 0x5001'0000_pa,
    .memory_map = phys_range::of(0x5001'1000_pa, byte_count::of(48 * 10)),
    .descriptor_size = 48,
    .descriptor_version = 1};

/// All that can be told.
inline linux_told everything()
{
    return {.holes = 80, .seed = true, .rsdp = 0xf'5a10_pa, .efi = firmware};
}

inline fault not_safe(phys_addr at)
{
    return {fault_code::outside_safe_region, stage::verifying, at.raw()};
}
inline fault out_of_reach(phys_addr at)
{
    return {fault_code::bad_range, stage::verifying, at.raw()};
}

using all_entries = std::tuple<x86::linux32_entry, x86::linux64_entry, x86::vmlinux32_entry, x86::vmlinux64_entry>;
using both_entries = std::tuple<x86::linux32_entry, x86::linux64_entry>;

/// A field of the page is another.
template <class Contract, class T>
fault with(std::size_t offset, T value, const linux_told& what = {})
{
    told_linux<Contract> told{what};
    told.put(offset, value);
    return told.verdict();
}

} // namespace lobos::test
