// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// A running kernel on the simulated x86: 4 MB pages, physical memory linearly mapped at 0xC0000000, a descriptor
/// table, an allocator of pages. It is the glue that a whole exec is tested with, and it can be made to fail: any
/// request for memory by its number, and any fact of the machine between prepare() and commit().

#include <memory>
#include <optional>
#include <random>
#include <set>
#include <vector>

#include <lobos/glue/kernel_glue.hpp>
#include <lobos/image/source.hpp>
#include <lobos/plan/program.hpp>
#include <lobos/sim/x86_processor.hpp>
#include <lobos/x86/paging_4m.hpp>

namespace lobos::sim {

/// A file's bytes, staged in the kernel's pages.
struct staged_bytes {
    std::vector<extent> extents;
    staged_file<sim::memory> source(sim::memory& m) const { return {m, extents}; }
};

class x86_kernel {
public:
    using port = x86::protected_mode<x86::paging_4m>;

    static constexpr std::uint32_t linear_base = 0xc000'0000;
    static constexpr phys_range own_memory = phys_range::of(phys_addr::at(0x10'0000), byte_count::of(0x4'0000));
    static constexpr std::uint16_t code_selector = 0x08;
    static constexpr std::uint16_t data_selector = 0x10;

    /// A machine with `ram` bytes of memory from address 0; the kernel has 256 KiB at 1 MiB, everything else is free.
    /// Pages are handed out in an order that `seed` shuffles; seed 0 is ascending.
    explicit x86_kernel(byte_count ram, std::uint32_t seed = 0) : cpu_{memory_}
    {
        const phys_range all = phys_range::of(phys_addr::at(0), ram);
        memory_.add_ram(all);
        if (!map_.add(all, region_kind::usable))
            throw machine_error{"memory map", 0};
        for (phys_addr at = own_memory.last() + byte_count::of(1); at < all.last(); at += page_size)
            free_.push_back(at);
        if (seed != 0) {
            std::mt19937 random{seed};
            for (std::size_t i = free_.size(); i > 1; --i)
                std::swap(free_[i - 1], free_[random() % i]);
        }
        boot();
    }

    x86_kernel(const x86_kernel&) = delete;

    // What lobos wants of a kernel.
    const region_map& memory_map() const { return map_; }
    std::uint64_t memory_generation() const { return generation; }
    sim::memory& memory() { return memory_; }
    std::optional<phys_addr> allocate_page()
    {
        if (fails() || next_ == free_.size())
            return std::nullopt;
        const phys_addr page = free_[next_++];
        taken_.insert(page.raw());
        return page;
    }
    void free_page(phys_addr page) noexcept
    {
        if (taken_.erase(page.raw()) == 0)
            ++wrong_frees;
        else
            free_[--next_] = page;
    }
    std::optional<virt_addr> virtual_address(phys_addr page) const { return virt_addr::at(linear_base + page.raw()); }
    std::span<std::byte> allocate_workspace(std::size_t bytes)
    {
        if (fails())
            return {};
        workspaces_.push_back(std::make_unique<std::byte[]>(bytes));
        return {workspaces_.back().get(), bytes};
    }
    void free_workspace(std::span<std::byte> space) noexcept
    {
        std::erase_if(workspaces_, [&](const auto& w) { return w.get() == space.data(); });
    }
    x86_processor& processor() { return cpu_; }
    void before_point_of_no_return() noexcept { gone = true; }

    // What a test wants of it.

    /// The map, for regions beyond plain RAM.
    region_map& map() { return map_; }

    /// Puts a file into pages of `chunk` bytes each (at most a page), one page a chunk; the last one may be shorter.
    staged_bytes stage(std::span<const std::byte> file, std::size_t chunk = 4096)
    {
        staged_bytes staged;
        for (std::size_t done = 0; done < file.size(); done += chunk) {
            const auto page = allocate_page();
            if (!page)
                throw machine_error{"no page for a file", done};
            const auto part = file.subspan(done, std::min(chunk, file.size() - done));
            memory_.write(*page, part);
            staged.extents.push_back({*page, byte_count::of(part.size())});
        }
        return staged;
    }

    /// Request number `n` from now (0 is the next) for a page or a workspace fails; nothing: none does.
    void fail_request(std::optional<std::size_t> n)
    {
        fail_at_ = n;
        requests_ = 0;
    }
    std::size_t requests() const { return requests_; }

    std::size_t pages_taken() const { return taken_.size(); }
    std::size_t workspaces_taken() const { return workspaces_.size(); }

    std::uint64_t generation = 1;
    std::size_t wrong_frees = 0; ///< pages given back that were not taken
    bool gone = false;           ///< past before_point_of_no_return

private:
    /// The state a running kernel is in: tables and descriptors in its own memory, paging on, interrupts on.
    void boot()
    {
        const phys_addr directory = own_memory.first() + page_size;
        const phys_addr descriptors = own_memory.first() + page_size + page_size;
        for (std::uint32_t i = 0; i < 1024; ++i) {
            const bool mapped = i >= linear_base >> 22;
            // Present, writable, 4 MB, global, and a bit of software's own.
            const std::uint32_t entry = mapped ? ((i - (linear_base >> 22)) << 22) | 0x383u : 0;
            store(memory_, directory + byte_count::of(std::uint64_t{4} * i), entry);
        }
        constexpr std::uint64_t table[] = {0, 0x00cf'9b00'0000'ffff, 0x00cf'9200'0000'ffff, 0x0000'8900'0000'0067};
        memory_.write(descriptors, std::as_bytes(std::span{table}));
        cpu_.gdtr_base = static_cast<std::uint32_t>(linear_base + descriptors.raw());
        cpu_.gdtr_limit = sizeof table - 1;
        cpu_.state.cs = code_selector;
        cpu_.state.ds = cpu_.state.es = cpu_.state.fs = cpu_.state.gs = cpu_.state.ss = data_selector;
        cpu_.mmu.load_cr4(x86::cr4::large_pages | x86::cr4::global_pages);
        cpu_.mmu.load_cr3(static_cast<std::uint32_t>(directory.raw()));
        cpu_.mmu.load_cr0(x86::cr0::paging | x86::cr0::protection | x86::cr0::write_protect);
        store(memory_, own_memory.first(), std::uint64_t{0x6b65'726e'656c}); // something of the kernel's own
    }

    bool fails() { return fail_at_ == requests_++; }

    sim::memory memory_;
    x86_processor cpu_;
    std::vector<region> map_storage_ = std::vector<region>(512);
    region_map map_{map_storage_};
    std::vector<phys_addr> free_;
    std::size_t next_ = 0;
    std::set<std::uint64_t> taken_;
    std::vector<std::unique_ptr<std::byte[]>> workspaces_;
    std::optional<std::size_t> fail_at_;
    std::size_t requests_ = 0;
};

static_assert(kernel_glue<x86_kernel>);

} // namespace lobos::sim
