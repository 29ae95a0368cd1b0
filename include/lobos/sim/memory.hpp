// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// Simulated physical memory, for tests on a host: sparse, and every byte of it knows whether it was ever written.
/// Reading one that was not is no accident that happens to work: it gives a pattern, and is counted. Touching what is
/// not RAM throws, and so does writing to what a test guards.

#include <array>
#include <bitset>
#include <cstddef>
#include <map>
#include <optional>
#include <vector>

#include <lobos/core/physical_memory.hpp>
#include <lobos/core/range.hpp>
#include <lobos/sim/machine_error.hpp>
#include <lobos/sim/state_hash.hpp>

namespace lobos::sim {

class memory {
public:
    static constexpr std::byte never_written{0xa5};

    /// Makes `range` RAM.
    void add_ram(phys_range range) { ram_.push_back(range); }

    /// From now on a write to any byte of `range`, by whomever, throws before it changes anything.
    void guard(phys_range range) { guarded_.push_back(range); }
    void drop_guards() { guarded_.clear(); }

    void read(phys_addr at, std::span<std::byte> out)
    {
        check(at, out.size());
        for_each_page(at, out.size(), [&](std::uint64_t number, std::size_t offset, std::size_t done, std::size_t n) {
            const auto found = pages_.find(number);
            for (std::size_t i = 0; i < n; ++i) {
                const bool known = found != pages_.end() && found->second.written[offset + i];
                out[done + i] = known ? found->second.bytes[offset + i] : never_written;
                if (!known && unwritten_reads_++ == 0)
                    first_unwritten_ = phys_addr::at(number * page_bytes + offset + i);
            }
        });
    }

    void write(phys_addr at, std::span<const std::byte> in)
    {
        check(at, in.size());
        if (!in.empty())
            for (const phys_range& r : guarded_)
                if (r.overlaps(phys_range::of(at, byte_count::of(in.size()))))
                    throw machine_error{"write to guarded memory", std::max(at, r.first()).raw()};
        for_each_page(at, in.size(), [&](std::uint64_t number, std::size_t offset, std::size_t done, std::size_t n) {
            page& p = pages_[number];
            for (std::size_t i = 0; i < n; ++i) {
                p.bytes[offset + i] = in[done + i];
                p.written[offset + i] = true;
            }
        });
    }

    /// How often a byte was read that nobody had written, and the first one.
    std::size_t unwritten_reads() const { return unwritten_reads_; }
    phys_addr first_unwritten_read() const { return first_unwritten_; }

    /// Calls `visit(phys_addr, std::byte)` for every byte ever written, in order of address.
    template <class Visit> void for_each_written(Visit visit) const
    {
        for (const auto& [number, p] : pages_)
            for (std::size_t i = 0; i < page_bytes; ++i)
                if (p.written[i])
                    visit(phys_addr::at(number * page_bytes + i), p.bytes[i]);
    }

    bool is_ram(phys_addr at) const
    {
        return std::ranges::any_of(ram_, [&](const phys_range& r) { return r.contains(at); });
    }

    /// The byte there, or nothing when it was never written. Does not count as a read.
    std::optional<std::byte> peek(phys_addr at) const
    {
        const auto found = pages_.find(at.raw() / page_bytes);
        const std::size_t offset = at.raw() % page_bytes;
        if (found == pages_.end() || !found->second.written[offset])
            return std::nullopt;
        return found->second.bytes[offset];
    }

    /// Whether exactly these bytes were written there. Does not count as a read.
    bool holds(phys_addr at, std::span<const std::byte> bytes) const
    {
        for (std::size_t i = 0; i < bytes.size(); ++i)
            if (peek(at + byte_count::of(i)) != bytes[i])
                return false;
        return true;
    }

    /// Adds the bytes of `range` to `hash`; never written is a value of its own. Does not count as a read.
    void add_to(state_hash& hash, phys_range range) const
    {
        for_each_page(range.first(), static_cast<std::size_t>(range.size().raw()),
            [&](std::uint64_t number, std::size_t offset, std::size_t, std::size_t n) {
                const auto found = pages_.find(number);
                const auto known = [&](std::size_t i) { return found != pages_.end() && found->second.written[i]; };
                bool any = false;
                hash.add(n);
                for (std::size_t i = offset; i < offset + n; ++i) {
                    any = any || known(i);
                    if (known(i) != (i != offset && known(i - 1)))
                        hash.add(i); // a run of written bytes begins or ends
                }
                if (any)
                    hash.add(std::span{found->second.bytes}.subspan(offset, n)); // 0 where never written
            });
    }

private:
    static constexpr std::size_t page_bytes = 4096;
    struct page {
        std::array<std::byte, page_bytes> bytes{};
        std::bitset<page_bytes> written;
    };

    void check(phys_addr at, std::size_t size) const
    {
        if (size == 0)
            return;
        const auto range = phys_range::checked(at, byte_count::of(size));
        for (const phys_range& r : ram_)
            if (range && r.contains(*range))
                return;
        throw machine_error{"access to what is not RAM", at.raw()};
    }

    template <class Visit> static void for_each_page(phys_addr at, std::size_t size, Visit visit)
    {
        for (std::size_t done = 0; done < size;) {
            const std::uint64_t here = at.raw() + done;
            const std::size_t offset = here % page_bytes;
            const std::size_t n = std::min(size - done, page_bytes - offset);
            visit(here / page_bytes, offset, done, n);
            done += n;
        }
    }

    std::vector<phys_range> ram_;
    std::vector<phys_range> guarded_;
    std::map<std::uint64_t, page> pages_;
    std::size_t unwritten_reads_ = 0;
    phys_addr first_unwritten_;
};

static_assert(physical_memory<memory>);

} // namespace lobos::sim
