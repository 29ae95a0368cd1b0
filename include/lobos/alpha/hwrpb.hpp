// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The hardware restart parameter block, HWRPB: what an Alpha's console tells the system of the machine
/// [alpha/arm III, HWRPB]. One block of contiguous physical memory, which the console maps at virtual 0x1000'0000 for
/// whoever it boots. A fixed part, with offsets from its beginning to the others: a slot for each processor, and the
/// descriptors of memory. Everything is little-endian and quadwords.
///
/// The reader believes no number in it: what it goes by is checked when it is opened, and each part again when it is
/// asked for. That the memory is readable it has to believe; it reads nothing beyond `reach` from the beginning. The
/// size that the block states of itself bounds nothing, since there are consoles that state their fixed part's.

#include <array>
#include <bit>
#include <cstddef>

#include <lobos/alpha/hwpcb.hpp>
#include <lobos/core/physical_memory.hpp>

namespace lobos::alpha {

/// The fixed part as it lies in memory. Revisions differ in what follows.
struct hwrpb {
    static constexpr std::uint64_t text_identifier = 0x42'5052'5748;          ///< SRM's: "HWRPB" as text lies
    static constexpr std::uint64_t number_identifier = 0x4857'5250'4200'0000; ///< QEMU's: the H in the highest byte
    static constexpr std::uint64_t console_address = 0x1000'0000;             ///< virtual, where the console maps it

    std::uint64_t physical_address; ///< of the block itself
    std::uint64_t identifier;
    std::uint64_t revision;
    std::uint64_t size;
    std::uint64_t primary_cpu; ///< its WHAMI
    std::uint64_t page_size;
    std::uint32_t physical_bits;
    std::uint32_t extension_bits; ///< of virtual addresses
    std::uint64_t largest_asn;
    std::array<char, 16> serial_number;
    std::uint64_t system_type;
    std::uint64_t system_variation;
    std::uint64_t system_revision;
    std::uint64_t clock_frequency; ///< of interval clock interrupts, in 1/4096 Hz
    std::uint64_t cycle_frequency; ///< of rpcc, in Hz
    std::uint64_t vptb;            ///< virtual page table base
    std::uint64_t reserved;
    std::uint64_t hint_block_offset;
    std::uint64_t slot_count; ///< of processors, present or not
    std::uint64_t slot_size;
    std::uint64_t slot_offset;
    std::uint64_t terminal_count;
    std::uint64_t terminal_size;
    std::uint64_t terminal_offset;
    std::uint64_t callback_offset;
    std::uint64_t memory_offset; ///< of the memory data descriptor table
    std::uint64_t configuration_offset;
    std::uint64_t fru_offset;
    std::uint64_t save_terminal, save_terminal_data;
    std::uint64_t restore_terminal, restore_terminal_data;
    std::uint64_t restart, restart_data;
    std::uint64_t for_system, for_hardware;
    std::uint64_t checksum; ///< the sum of all quadwords before it
    std::uint64_t receive_ready;
    std::uint64_t transmit_ready;
    std::uint64_t recognition_offset;
};

/// A processor's slot, as far as anything is wanted of it.
struct hwrpb_slot {
    static constexpr std::uint64_t palcode_memory_valid = 1u << 7; ///< the slot says where the PALcode's memory is

    hwpcb context; ///< what the console starts the processor with
    std::uint64_t flags;
    std::uint64_t palcode_size;
    std::uint64_t scratch_size;
    std::uint64_t palcode; ///< physical address
    std::uint64_t scratch; ///< physical address
};

/// A piece of memory that is all of one use. Its bitmap of tested pages is nobody's business here.
struct memory_cluster {
    static constexpr std::uint64_t of_console = 1u << 0;   ///< the console's and the PALcode's, for good
    static constexpr std::uint64_t not_volatile = 1u << 1; ///< keeps what is in it without power

    std::uint64_t first_page;
    std::uint64_t pages;
    std::uint64_t tested_pages;
    std::uint64_t bitmap, bitmap_physical, bitmap_checksum;
    std::uint64_t usage;
};

/// What precedes the clusters.
struct memory_descriptors {
    std::uint64_t checksum; ///< the sum of all quadwords after it; 0 where nobody summed
    std::uint64_t optional;
    std::uint64_t clusters;
};

/// Reads a block. All faults are of loading and say with `at` the physical address of the field.
template <physical_memory Memory> class hwrpb_reader {
    static_assert(std::endian::native == std::endian::little, "the block is read as it lies in memory");

public:
    /// Nothing of a block is believed to lie further from its beginning.
    static constexpr byte_count reach = 1_MiB;

    /// Opens the block at `at`. Faults: misaligned (`at` is no multiple of 8 KB), bad_range (it and `reach` go past the
    /// last address), unknown_format (no identifier), bad_header (its own address is another, or the checksum is),
    /// unsupported (pages are not of 8 KB).
    static result<hwrpb_reader> open(Memory& memory, phys_addr at)
    {
        if (!is_aligned(at, byte_count::of(page_size)))
            return refuse(fault_code::misaligned, stage::loading, at);
        if (!checked_add(at, reach))
            return refuse(fault_code::bad_range, stage::loading, at);
        const hwrpb_reader r{memory, at};
        if (r.fixed_.identifier != hwrpb::text_identifier && r.fixed_.identifier != hwrpb::number_identifier)
            return r.bad(fault_code::unknown_format, offsetof(hwrpb, identifier));
        if (r.fixed_.physical_address != at.raw())
            return r.bad(fault_code::bad_header, offsetof(hwrpb, physical_address));
        if (r.fixed_.checksum != r.sum(0, offsetof(hwrpb, checksum)))
            return r.bad(fault_code::bad_header, offsetof(hwrpb, checksum));
        if (r.fixed_.page_size != page_size)
            return r.bad(fault_code::unsupported, offsetof(hwrpb, page_size));
        return r;
    }

    phys_addr address() const { return at_; }

    /// The numbers as they are. No offset among them has been looked at.
    const hwrpb& fixed() const { return fixed_; }

    /// A part that begins at `offset`, which was read from the field at `field`. Fault: bad_header (at: that field,
    /// when it does not lie behind the fixed part, aligned and within `reach`).
    template <class T> result<T> part(std::uint64_t offset, std::uint64_t field) const
    {
        if (!is_part(offset, sizeof(T)))
            return bad(fault_code::bad_header, field);
        return load<T>(*memory_, at_ + byte_count::of(offset));
    }

    /// Processor `n`'s slot. Faults: bad_header (there are not so many slots, one is shorter than what is read of it,
    /// or they do not lie behind the fixed part, aligned and within `reach`).
    result<hwrpb_slot> slot(std::uint64_t n) const
    {
        if (n >= fixed_.slot_count)
            return bad(fault_code::bad_header, offsetof(hwrpb, slot_count));
        if (fixed_.slot_size < sizeof(hwrpb_slot) || fixed_.slot_size % 8 != 0 || fixed_.slot_size > reach.raw())
            return bad(fault_code::bad_header, offsetof(hwrpb, slot_size));
        if (!is_part(fixed_.slot_offset, sizeof(hwrpb_slot)) || n > reach.raw() / sizeof(hwrpb_slot))
            return bad(fault_code::bad_header, offsetof(hwrpb, slot_offset));
        return part<hwrpb_slot>(fixed_.slot_offset + n * fixed_.slot_size, offsetof(hwrpb, slot_offset));
    }

    /// Where it lies. Precondition: it is one that `slot` returned.
    phys_addr slot_address(std::uint64_t n) const
    {
        return at_ + byte_count::of(fixed_.slot_offset + n * fixed_.slot_size);
    }

    /// How many clusters there are. Faults: bad_header (the descriptors do not lie behind the fixed part, aligned and
    /// within `reach`, or their checksum is another; 0 counts as none).
    result<std::uint64_t> cluster_count() const
    {
        constexpr std::uint64_t longest = reach.raw() / sizeof(memory_cluster);
        const std::uint64_t offset = fixed_.memory_offset;
        const auto found = part<memory_descriptors>(offset, offsetof(hwrpb, memory_offset));
        if (!found)
            return std::unexpected{found.error()};
        const memory_descriptors& table = *found;
        if (table.clusters > longest)
            return bad(fault_code::bad_header, offset + offsetof(memory_descriptors, clusters));
        const std::uint64_t size = sizeof table + table.clusters * sizeof(memory_cluster);
        if (!is_part(offset, size))
            return bad(fault_code::bad_header, offset + offsetof(memory_descriptors, clusters));
        if (table.checksum != 0 && table.checksum != sum(offset + sizeof table.checksum, offset + size))
            return bad(fault_code::bad_header, offset + offsetof(memory_descriptors, checksum));
        return table.clusters;
    }

    /// Where cluster `n` is described, and the description. Precondition: `n < cluster_count()`.
    phys_addr cluster_address(std::uint64_t n) const
    {
        return at_ + byte_count::of(fixed_.memory_offset + sizeof(memory_descriptors) + n * sizeof(memory_cluster));
    }
    memory_cluster cluster(std::uint64_t n) const { return load<memory_cluster>(*memory_, cluster_address(n)); }

private:
    static constexpr std::uint64_t page_size = paging_8k::granule.raw();

    hwrpb_reader(Memory& memory, phys_addr at) : memory_{&memory}, at_{at}, fixed_{load<hwrpb>(memory, at)} {}

    std::unexpected<fault> bad(fault_code code, std::uint64_t offset) const
    {
        return refuse(code, stage::loading, at_ + byte_count::of(offset));
    }

    /// Whether `size` bytes at `offset` may be a part of the block.
    static bool is_part(std::uint64_t offset, std::uint64_t size)
    {
        return offset >= sizeof(hwrpb) && offset % 8 == 0 && offset <= reach.raw() && size <= reach.raw() - offset;
    }

    std::uint64_t sum(std::uint64_t from, std::uint64_t to) const
    {
        std::uint64_t total = 0;
        for (; from < to; from += 8)
            total += load<std::uint64_t>(*memory_, at_ + byte_count::of(from));
        return total;
    }

    Memory* memory_;
    phys_addr at_;
    hwrpb fixed_;
};

// Sanity checks
static_assert(sizeof(hwrpb) == 320 && offsetof(hwrpb, vptb) == 120 && offsetof(hwrpb, slot_offset) == 160);
static_assert(offsetof(hwrpb, memory_offset) == 200 && offsetof(hwrpb, checksum) == 288);
static_assert(offsetof(hwrpb_slot, flags) == 128 && sizeof(hwrpb_slot) == 168);
static_assert(sizeof(memory_cluster) == 56 && sizeof(memory_descriptors) == 24);

} // namespace lobos::alpha
