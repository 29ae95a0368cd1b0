// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// A kernel on the simulated Alpha with an image staged in its scattered pages, and how an exec of it ends.

#include <random>
#include <variant>

#include <lobos/kernel_exec.hpp>
#include <lobos/sim/alpha_kernel.hpp>

#include <tests/catch.hpp>

namespace lobos::test {

/// An image that a test makes up, entered 32 bytes behind its beginning: in kseg, or where it wants to be mapped.
struct alpha_image {
    static constexpr alpha::entry_state state = alpha::entry_state::kernel;
    using paging = same_paging;

    std::vector<segment> parts;
    std::vector<virtual_segment> layout;

    phys_addr physical_entry() const { return parts.front().destination.first() + byte_count::of(0x20); }
    std::span<const segment> segments() const { return parts; }
    virt_addr entry() const
    {
        return layout.empty() ? virt_addr::at(0xffff'fc00'0000'0000 + physical_entry().raw())
                              : layout.front().virtual_range.first() + byte_count::of(0x20);
    }
    std::span<const virtual_segment> virtual_layout() const { return layout; }
    std::size_t parameter_pages() const { return 1; }
    alpha::entry_registers registers(std::span<const phys_addr> pages) const { return {pages[0].raw() | 7}; }
    template <physical_memory M>
    result<void> write_parameters(M&, const region_map&, std::span<const phys_addr>, std::span<std::byte>) const
    {
        return {};
    }
    template <class Context> result<void> is_met(const Context&, const alpha::entry_registers&) const { return {}; }
};
static_assert(entry_contract<alpha_image, alpha::port>);

/// `chunk` bytes of the file lie in each page. Nothing can be put in place early, so everything is copied.
template <class Kernel> struct alpha_world {
    static constexpr byte_count ram = byte_count::of(4u << 20);

    explicit alpha_world(std::uint32_t seed, std::size_t size = 0x2025, std::size_t chunk = 0x2000) : machine{ram, seed}
    {
        file.resize(size);
        std::mt19937 random{seed};
        for (std::byte& b : file)
            b = static_cast<std::byte>(random() & 0xff);
        staged = machine.stage(file, chunk);
        machine.injected.fail_every(sim::glue_call::allocate_page_at);
        where = phys_range::of(phys_addr::at(0x2f'e000), byte_count::of(size));
    }
    alpha_image image() const
    {
        const phys_range rest = phys_range::of(where.last() + byte_count::of(1), byte_count::of(zeros));
        return {{{.destination = where, .file = staged.extents}, {.destination = rest, .what = content::zero}}, {}};
    }
    /// Page for page at `address`.
    alpha_image image_at(virt_addr address) const
    {
        alpha_image i = image();
        i.layout.push_back({virt_range::of(address, where.size()), where.first(), true});
        return i;
    }
    bool arrived()
    {
        const std::vector<std::byte> wanted(zeros);
        return machine.memory().holds(where.first(), file) &&
            machine.memory().holds(where.last() + byte_count::of(1), wanted);
    }
    sim::alpha_processor& processor() { return machine.processor(); }

    static constexpr std::size_t zeros = 0x123; ///< behind the file's bytes

    Kernel machine;
    std::vector<std::byte> file;
    sim::staged_bytes staged;
    phys_range where = phys_range::of(phys_addr::at(0), byte_count::of(1));
};

/// What came of it.
using alpha_outcome = std::variant<sim::alpha_kernel_entered, sim::alpha_halted, sim::machine_error, fault>;

template <class Staged> alpha_outcome run_alpha(Staged& staged)
{
    try {
        return commit(staged);
    } catch (const sim::alpha_kernel_entered& entered) {
        return entered;
    } catch (const sim::alpha_halted& halted) {
        return halted;
    } catch (const sim::machine_error& error) {
        return error;
    }
}

} // namespace lobos::test
