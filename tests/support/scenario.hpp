// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// A whole exec in the simulator, and the comparison of every byte of memory with what it should be afterwards.

#include <variant>

#include <lobos/image/bzimage.hpp>
#include <lobos/image/elf.hpp>
#include <lobos/kernel_exec.hpp>
#include <lobos/overlay/explain.hpp>
#include <lobos/sim/x86_kernel.hpp>
#include <lobos/survive/log.hpp>
#include <lobos/x86/linux32_entry.hpp>
#include <lobos/x86/paged_entry.hpp>

#include <tests/catch.hpp>
#include <tests/support/bzimage_builder.hpp>
#include <tests/support/elf_builder.hpp>

namespace lobos::test {

/// All of a machine's memory: a byte, or `unknown` where nobody ever wrote.
class snapshot {
public:
    static constexpr std::uint16_t unknown = 0x100;

    snapshot(const sim::memory& memory, byte_count ram) : bytes_(static_cast<std::size_t>(ram.raw()), unknown)
    {
        memory.for_each_written([&](phys_addr at, std::byte b) {
            bytes_[static_cast<std::size_t>(at.raw())] = std::to_integer<std::uint8_t>(b);
        });
    }
    std::uint16_t& operator[](std::uint64_t at) { return bytes_[static_cast<std::size_t>(at)]; }
    std::size_t size() const { return bytes_.size(); }
    friend bool operator==(const snapshot&, const snapshot&) = default;

private:
    std::vector<std::uint16_t> bytes_;
};

/// Commits, and says what came of it: the state of the processor in the new kernel, or the fault that refused.
template <class Staged> std::variant<sim::entry_state, fault> run(Staged& staged)
{
    try {
        return commit(staged);
    } catch (const sim::new_kernel_entered& entered) {
        return entered.state;
    }
}

/// Memory as the image wants it, computed byte by byte from the plan's image and the memory before; the bytes that the
/// overlay may use as it likes are `unknown`.
inline snapshot wanted_memory(const exec_plan& plan, snapshot before)
{
    snapshot after = before;
    const auto safe = [&](std::uint64_t at) {
        return std::ranges::any_of(
            plan.safe, [&](const safe_region& r) { return r.range.contains(phys_addr::at(at)); });
    };
    for (const segment& s : plan.image) {
        std::vector<std::uint64_t> sources;
        if (s.what == content::copy)
            for (const extent& e : s.file)
                for (std::uint64_t i = 0; i < e.size.raw(); ++i)
                    sources.push_back(e.is_zeros() ? no_source : e.at.raw() + i);
        for (std::uint64_t i = 0; i < s.destination.size().raw(); ++i) {
            const std::uint64_t at = s.destination.first().raw() + i;
            if (safe(at))
                continue;
            const std::uint64_t source =
                s.what == content::copy ? sources.at(static_cast<std::size_t>(s.file_offset.raw() + i)) : no_source;
            if (s.what == content::copy || s.what == content::zero)
                after[at] = source == no_source ? std::uint16_t{0} : before[source];
        }
    }
    return after;
}

/// Where the overlay notes down how far it is: its trail, or a place in its program.
inline phys_range notes_of(const exec_plan& plan, std::optional<phys_addr> trail)
{
    return phys_range::of(trail.value_or(plan.program + byte_count::of(offsetof(overlay_program, untold))),
        byte_count::of(sizeof(breadcrumb)));
}

/// Compares all of memory; the overlay's stack, its bounce page and its trail are its own.
inline void check_memory(const exec_plan& plan, const snapshot& before, snapshot after, std::optional<phys_addr> trail)
{
    snapshot wanted = wanted_memory(plan, before);
    const auto forget = [&](phys_range r) {
        for (std::uint64_t i = 0; i < r.size().raw(); ++i)
            after[r.first().raw() + i] = wanted[r.first().raw() + i] = snapshot::unknown;
    };
    for (const safe_region& r : plan.safe)
        if (r.role == safe_role::stack || r.role == safe_role::bounce)
            forget(r.range);
    forget(notes_of(plan, trail));
    std::size_t different = 0;
    for (std::uint64_t at = 0; at < after.size(); ++at)
        if (after[at] != wanted[at] && different++ == 0) {
            CAPTURE(at, after[at], wanted[at]);
            CHECK(after[at] == wanted[at]);
        }
    CHECK(different == 0);
}

/// What the processor did in an exec of `plan`, from its own record: fetched from the code, read the image's sources
/// and what is safe, wrote into the image where it is copied or zeroed and into its stack, bounce page and trail, and
/// into no table at all.
inline void check_accesses(const exec_plan& plan, const sim::recorder& record, std::optional<phys_addr> trail)
{
    using enum sim::access_kind;
    std::vector<phys_range> sources;
    std::vector<phys_range> own;
    for (const safe_region& r : plan.safe) {
        if (overlay_touches(r.role))
            sources.push_back(r.range);
        if (r.role == safe_role::stack || r.role == safe_role::bounce)
            own.push_back(r.range);
    }
    const phys_range notes = notes_of(plan, trail);
    own.push_back(notes);
    std::vector<phys_range> targets = own;
    std::uint64_t into_image = 0;
    std::uint64_t skipped = 0;
    for (const segment& s : plan.image) {
        if (s.what != content::copy && s.what != content::zero)
            continue;
        targets.push_back(s.destination);
        into_image += record.bytes(write, s.destination);
        if (const auto left = intersection(notes, s.destination))
            into_image -= record.bytes(write, *left);
        for (content_cursor c{s}; c.left().raw() != 0;)
            if (const extent piece = c.take(c.left()); !piece.is_zeros())
                sources.push_back(phys_range::of(piece.at, piece.size));
        for (const safe_region& r : plan.safe) {
            if (const auto hole = intersection(r.range, s.destination)) {
                skipped += hole->size().raw();
                const bool trailing = trail && r.range.contains(*trail);
                CHECK((trailing || !record.first(write, *hole)));
            }
        }
    }
    const auto outside = [&](sim::access_kind kind, std::span<const phys_range> ranges) {
        const auto found = record.first_outside(kind, ranges);
        return found ? found->physical : phys_addr::at(0);
    };
    CHECK(outside(fetch, std::array{phys_range::of(plan.code, x86::page_size)}) == phys_addr::at(0));
    CHECK(outside(read, sources) == phys_addr::at(0));
    CHECK(outside(write, targets) == phys_addr::at(0));
    CHECK(record.bytes(mark) == 0);
    CHECK(into_image == plan.cost.copied.raw() + plan.cost.zeroed.raw() - skipped);
}

/// A Linux kernel with an initrd, staged in the scattered pages of a simulated kernel in some mode of paging.
template <class Paging> struct linux_world {
    static constexpr byte_count ram = byte_count::of(8u << 20);

    explicit linux_world(std::uint32_t seed, bzimage_builder kernel = small_linux(), std::size_t initrd = 0x1'2345)
        : machine{ram, seed}
    {
        bytes contents(initrd);
        for (std::size_t i = 0; i < initrd; ++i)
            contents[i] = pattern(i * 3 + 5);
        kernel_file = machine.stage(kernel.build());
        initrd_file = machine.stage(contents);
    }

    static bzimage_builder small_linux()
    {
        return {.code = 0x3'2340, .init_size = 0x8'0000, .pref_address = 0x20'0000, .kernel_alignment = 0x10'0000};
    }

    result<linux_image> load(
        std::string_view command_line = "console=ttyS0 x=\"a b\"", linux_entry entry = linux_entry::protected_32)
    {
        return load_bzimage(kernel_file.source(machine.memory()), initrd_file.source(machine.memory()),
            {.command_line = command_line, .entry = entry}, machine.memory_map());
    }

    sim::basic_x86_kernel<Paging> machine;
    sim::staged_bytes kernel_file;
    sim::staged_bytes initrd_file;
};

/// The same in a 32-bit kernel with 4 MB pages.
struct linux_scenario : linux_world<x86::paging_4m> {
    using linux_world::linux_world;
};

/// Another paged kernel, whose image lies over the running one's, with padding that holds a surviving log.
struct paged_scenario {
    static constexpr byte_count ram = byte_count::of(8u << 20);
    static constexpr phys_range log_region = phys_range::of(phys_addr::at(0x11'0000), byte_count::of(0x4000));

    explicit paged_scenario(std::uint32_t seed) : machine{ram, seed}
    {
        if (!machine.map().add(log_region, region_kind::surviving))
            throw sim::machine_error{"memory map", 0};
        log = surviving_log<sim::memory>::create(machine.memory(), log_region);
        log->append("the old kernel was here");
        kernel_file = machine.stage(image().build());
    }

    static elf_builder image()
    {
        elf_builder e;
        e.parts = {{.p_type = PT_LOAD,
                       .p_offset = 0x1000,
                       .p_vaddr = 0xc010'0000,
                       .p_paddr = 0x10'0000,
                       .p_filesz = 0x1'5432,
                       .p_memsz = 0x3'0000,
                       .p_flags = PF_R | PF_W | PF_X,
                       .p_align = 0x1000},
            {.p_type = PT_LOBOS_PADDING,
                .p_offset = 0,
                .p_vaddr = 0,
                .p_paddr = 0x11'0000,
                .p_filesz = 0,
                .p_memsz = 0x4000,
                .p_flags = 0,
                .p_align = 1}};
        e.entry = 0xc010'0040;
        e.size = 0x1000 + 0x1'5432;
        return e;
    }

    result<x86::paged_entry> load(std::string_view command_line = "next generation=1")
    {
        const auto loaded = load_elf32(kernel_file.source(machine.memory()), x86::elf_machine);
        if (!loaded)
            return std::unexpected{loaded.error()};
        return x86::paged_entry::make(*loaded, {}, command_line);
    }

    sim::x86_kernel machine;
    result<surviving_log<sim::memory>> log = refuse(fault_code::no_log, stage::surviving, 0);
    sim::staged_bytes kernel_file;
};

/// A contract for segments that a test makes up, entered like Linux, with one page of parameters left as it is.
struct raw_contract {
    static constexpr x86::entry_state state = x86::entry_state::flat_32;
    using paging = void;

    std::vector<segment> parts;

    std::span<const segment> segments() const { return parts; }
    virt_addr entry() const { return virt_addr::at(parts.front().destination.first().raw()); }
    std::span<const virtual_segment> virtual_layout() const { return {}; }
    std::size_t parameter_pages() const { return 1; }
    x86::entry_registers registers(std::span<const phys_addr>) const { return {}; }
    template <physical_memory M>
    result<void> write_parameters(M&, const region_map&, std::span<const phys_addr>) const
    {
        return {};
    }
    template <class Context> result<void> is_met(const Context&, const x86::entry_registers&) const { return {}; }
};
static_assert(entry_contract<raw_contract, sim::x86_kernel::port>);

} // namespace lobos::test
