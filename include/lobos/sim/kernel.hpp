// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// A running kernel on a simulated machine, as lobos sees one: memory map, an allocator of pages, storage to work in.
/// Everything about the machine, its processor and the state it has booted into, is the template's argument. It can be
/// made to fail: any request, and any fact of the machine between prepare() and commit(); and it says in one number
/// whether anything that is somebody's has changed.

#include <memory>
#include <optional>
#include <vector>

#include <lobos/glue/kernel_glue.hpp>
#include <lobos/image/source.hpp>
#include <lobos/sim/injection.hpp>
#include <lobos/sim/memory.hpp>
#include <lobos/sim/page_pool.hpp>

namespace lobos::sim {

/// What a machine brings to a simulated kernel. It is made from its memory; `boot()` puts it into the state of a
/// kernel that has been running for a while, with its tables in `own_memory`.
template <class M>
concept simulated_machine = std::constructible_from<M, memory&> &&
    requires(M& m, const M& c, byte_count ram, phys_addr page, state_hash& hash) {
        typename M::port;
        { M::own_memory } -> std::convertible_to<phys_range>; // the kernel's own, within RAM; free memory is behind it
        m.boot(ram);
        { m.processor() };
        { c.virtual_address(page) } -> std::same_as<std::optional<virt_addr>>; // in the kernel's own mapping
        c.add_to(hash);                                                        // all registers
    };

/// A file's bytes, staged in the kernel's pages.
struct staged_bytes {
    std::vector<extent> extents;
    staged_file<sim::memory> source(sim::memory& m) const { return {m, extents}; }
};

/// Everything that is somebody's, part by part: the same numbers, the same state. Free memory is not in it, nor what a
/// cache of the processor remembers.
struct kernel_state {
    std::uint64_t own_memory = 0; ///< the kernel's bytes, its tables among them
    std::uint64_t pages = 0;      ///< which ones are taken, and their bytes
    std::uint64_t surviving = 0;  ///< the bytes of regions that survive
    std::uint64_t map = 0;        ///< memory map and generation
    std::uint64_t registers = 0;
    std::uint64_t owned = 0; ///< workspaces, wrong frees, goodbyes
    friend bool operator==(const kernel_state&, const kernel_state&) = default;
};

template <simulated_machine Machine> class kernel {
public:
    using port = Machine::port;
    static constexpr byte_count page_size = port::page_size;
    static constexpr phys_range own_memory = Machine::own_memory;

    /// A machine with `ram` bytes of memory from address 0; what lies behind the kernel's own is free. Pages are handed
    /// out in an order that `seed` shuffles; seed 0 is ascending.
    explicit kernel(byte_count ram, std::uint32_t seed = 0)
        : machine_{memory_},
          pool_{
              phys_range::between(own_memory.last() + byte_count::of(1), phys_addr::at(ram.raw() - 1)), page_size, seed}
    {
        const phys_range all = phys_range::of(phys_addr::at(0), ram);
        memory_.add_ram(all);
        if (!map_.add(all, region_kind::usable))
            throw machine_error{"memory map", 0};
        machine_.boot(ram);
    }
    kernel(const kernel&) = delete;

    // What lobos wants of a kernel.
    const region_map& memory_map() const { return map_; }
    std::uint64_t memory_generation() const { return generation; }
    sim::memory& memory() { return memory_; }
    std::optional<phys_addr> allocate_page(phys_range) // where it is wanted: not heeded
    {
        return injected.fails(glue_call::allocate_page) ? std::nullopt : pool_.take();
    }
    bool allocate_page_at(phys_addr page) { return !injected.fails(glue_call::allocate_page_at) && pool_.take(page); }
    void free_page(phys_addr page) noexcept { wrong_frees += pool_.give_back(page) ? 0u : 1u; }
    std::optional<virt_addr> virtual_address(phys_addr page)
    {
        return injected.fails(glue_call::virtual_address) ? std::nullopt : machine_.virtual_address(page);
    }
    std::span<std::byte> allocate_workspace(std::size_t bytes)
    {
        if (injected.fails(glue_call::allocate_workspace))
            return {};
        workspaces_.push_back(std::make_unique<std::byte[]>(bytes));
        return {workspaces_.back().get(), bytes};
    }
    void free_workspace(std::span<std::byte> space) noexcept
    {
        const auto of = [&](const auto& w) { return w.get() == space.data(); };
        wrong_frees += std::erase_if(workspaces_, of) == 1 ? 0u : 1u;
    }
    auto& processor() { return machine_.processor(); }
    void before_point_of_no_return() noexcept { gone = true; }

    // What a test wants of it.

    /// The map, for regions beyond plain RAM.
    region_map& map() { return map_; }

    /// Puts a file into pages of `chunk` bytes each (at most a page), one page a chunk; the last one may be shorter.
    staged_bytes stage(std::span<const std::byte> file, std::size_t chunk = static_cast<std::size_t>(page_size.raw()))
    {
        staged_bytes staged;
        for (std::size_t done = 0; done < file.size(); done += chunk) {
            const auto page = pool_.take();
            if (!page)
                throw machine_error{"no page for a file", done};
            const auto part = file.subspan(done, std::min(chunk, file.size() - done));
            memory_.write(*page, part);
            staged.extents.push_back({*page, byte_count::of(part.size())});
        }
        return staged;
    }

    /// Every request of lobos, and which of them fail; for the usual, by name.
    injection injected;
    void fail_requests(std::set<std::size_t> numbers) { injected.fail(std::move(numbers)); }
    void fail_request(std::optional<std::size_t> n) { injected.fail(n ? std::set{*n} : std::set<std::size_t>{}); }
    std::size_t requests() const { return injected.calls().size(); }

    kernel_state state() const
    {
        kernel_state s;
        const auto part = [](auto add) {
            state_hash hash;
            add(hash);
            return hash.value();
        };
        s.own_memory = part([&](state_hash& h) { memory_.add_to(h, own_memory); });
        s.pages = part([&](state_hash& h) {
            for (const std::uint64_t page : pool_.taken()) {
                h.add(page);
                memory_.add_to(h, phys_range::of(phys_addr::at(page), page_size));
            }
        });
        s.surviving = part([&](state_hash& h) {
            for (const region& r : map_.regions())
                if (r.kind == region_kind::surviving)
                    memory_.add_to(h, r.range);
        });
        s.map = part([&](state_hash& h) {
            h.add(generation);
            for (const region& r : map_.regions()) {
                h.add(r.range.first().raw());
                h.add(r.range.last().raw());
                h.add(r.kind);
            }
        });
        s.registers = part([&](state_hash& h) { machine_.add_to(h); });
        s.owned = part([&](state_hash& h) {
            h.add(workspaces_.size());
            h.add(wrong_frees);
            h.add(gone);
        });
        return s;
    }

    std::size_t pages_taken() const { return pool_.taken().size(); }
    std::size_t workspaces_taken() const { return workspaces_.size(); }

    std::uint64_t generation = 1;
    std::size_t wrong_frees = 0; ///< pages or workspaces given back that were not taken
    bool gone = false;           ///< past before_point_of_no_return

private:
    sim::memory memory_;
    Machine machine_;
    std::vector<region> map_storage_ = std::vector<region>(512);
    region_map map_{map_storage_};
    page_pool pool_;
    std::vector<std::unique_ptr<std::byte[]>> workspaces_;
};

} // namespace lobos::sim
