// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// A HWRPB as a console leaves it: by default as QEMU's does for a Clipper with 256 MiB, processors' slots and two
/// clusters directly behind the fixed part. Every quadword can be changed; sums are made when memory is.

#include <tests/support/byte_memory.hpp>

namespace lobos::test {

struct console_block {
    static constexpr std::uint64_t at = 0x1'2000; // where it lies
    static constexpr std::size_t room = 0x10'0000;
    static constexpr std::size_t slots = 320, slot_size = 624, slot_count = 4;
    static constexpr std::size_t memory = slots + slot_count * slot_size;
    static constexpr std::size_t clusters = memory + 24, cluster_size = 56;

    bytes block = bytes(room);
    bool summed = true;      ///< the fixed part
    bool memory_sum = false; ///< the descriptors, which QEMU does not sum

    console_block()
    {
        const struct {
            std::size_t offset;
            std::uint64_t value;
        } words[] = {{0, at}, {8, 0x4857'5250'4200'0000}, {24, 320}, {40, 8192}, {48, 40}, {56, 255}, {80, 34},
            {88, 5 << 10}, {104, 1024 * 4096}, {112, 250'000'000}, {120, 0xffff'fffe'0000'0000}, {144, slot_count},
            {152, slot_size}, {160, slots}, {200, memory}};
        for (const auto& w : words)
            set(w.offset, w.value);
        for (std::size_t n = 0; n < slot_count; ++n) {
            set(slots + n * slot_size + 128, 0x1cc); // flags
        }
        set(memory + 16, 2);
        cluster(0, 0, 15, 1);
        cluster(1, 15, 32768 - 15, 0);
    }

    console_block& set(std::size_t offset, std::uint64_t value)
    {
        patch(block, offset, 8, value);
        return *this;
    }
    console_block& cluster(std::size_t n, std::uint64_t first, std::uint64_t pages, std::uint64_t usage)
    {
        const std::size_t offset = clusters + n * cluster_size;
        return set(offset, first).set(offset + 8, pages).set(offset + 48, usage);
    }

    std::uint64_t sum(std::size_t from, std::size_t to) const
    {
        std::uint64_t total = 0;
        for (; from < to; from += 8)
            total += peek(block, from, 8);
        return total;
    }

    void sum_up()
    {
        if (summed)
            set(288, sum(0, 288));
        if (memory_sum)
            set(memory,
                sum(memory + 8, clusters + cluster_size * static_cast<std::size_t>(peek(block, memory + 16, 8))));
    }
    byte_memory in_memory()
    {
        sum_up();
        byte_memory m{room, phys_addr::at(at)};
        m.write(phys_addr::at(at), block);
        return m;
    }
};

} // namespace lobos::test
