// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The log that survives [lobos/2000 §3.2.2, §4]: a ring of text in a surviving region, found and read by the next
/// kernel whatever it is. Everything in it is checked before it is believed: the header, the position, each record.
/// Whoever loses power between two writes loses at most the record in the making.
///
///     +--------------------+------------------------------------------------+
///     | log_header (4 KiB) | ring: | size crc text... | size crc text... |  |
///     +--------------------+------------------------------------------------+
///
/// Little-endian, physical addresses nowhere, so that a 32-bit kernel and a 64-bit one read the same log.

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <string_view>

#include <lobos/core/crc32c.hpp>
#include <lobos/core/fault.hpp>
#include <lobos/core/physical_memory.hpp>
#include <lobos/core/region_map.hpp>
#include <lobos/plan/program.hpp>

namespace lobos {

/// Which part of the ring is in use. There are two; the valid one with the later serial counts.
struct log_position {
    std::uint32_t begin;  ///< offset of the oldest record in the ring
    std::uint32_t used;   ///< bytes from there, around the end if need be
    std::uint32_t serial; ///< grows by one with each change, and wraps
    std::uint32_t crc;    ///< of the fields above
};

/// The first page of the region.
struct log_header {
    static constexpr std::array<char, 8> right_magic = {'L', 'O', 'B', 'O', 'S', 'L', 'O', 'G'};
    static constexpr std::uint32_t right_version = 2;

    std::array<char, 8> magic;
    std::uint32_t version;
    std::uint32_t capacity; ///< bytes of the ring, a multiple of 8
    std::uint32_t reserved; ///< 0
    std::uint32_t crc;      ///< of the fields above
    log_position positions[2];
    breadcrumb trail; ///< the overlay's; not under a checksum, for it is written step by step
};
static_assert(sizeof(log_header) == 24 + 32 + sizeof(breadcrumb));
static_assert(std::endian::native == std::endian::little, "the log is little-endian; a big-endian port converts");

template <physical_memory M> class surviving_log {
public:
    static constexpr byte_count header_size = byte_count::of(4096);
    static constexpr std::size_t longest_record = 240; ///< of text; longer text becomes several records

    /// A new, empty log in `region`, whatever was there.
    /// Faults: no_space (at: bytes needed) for a region that has no room for a few records or starts off a page.
    static result<surviving_log> create(M& memory, phys_range region)
    {
        if (!has_room(region))
            return refuse(fault_code::no_space, stage::surviving, 2 * header_size.raw());
        log_header header{};
        header.magic = log_header::right_magic;
        header.version = log_header::right_version;
        header.capacity = largest_ring(region);
        header.crc = checksum(header);
        surviving_log log{memory, region.first(), header.capacity};
        log.position_.crc = checksum(log.position_);
        header.positions[0] = log.position_;
        header.positions[1] = log.position_;
        store(memory, region.first(), header);
        return log;
    }

    /// The log that lies in `region`. Believes nothing.
    /// Faults: no_log (no magic number), corrupt_log (at: what does not check out).
    static result<surviving_log> open(M& memory, phys_range region)
    {
        if (!has_room(region))
            return refuse(fault_code::no_log, stage::surviving, region.first());
        const auto header = load<log_header>(memory, region.first());
        if (header.magic != log_header::right_magic)
            return refuse(fault_code::no_log, stage::surviving, region.first());
        const bool sound = header.version == log_header::right_version && header.crc == checksum(header) &&
            header.capacity % 8 == 0 && header.capacity >= record_size(longest_record) &&
            header.capacity <= largest_ring(region);
        if (!sound)
            return refuse(fault_code::corrupt_log, stage::surviving, region.first());
        surviving_log log{memory, region.first(), header.capacity};
        bool found = false;
        for (const log_position& p : header.positions) {
            const bool valid = p.crc == checksum(p) && p.begin < header.capacity && p.used <= header.capacity &&
                p.begin % 8 == 0 && p.used % 8 == 0;
            if (valid && (!found || is_later(p.serial, log.position_.serial))) {
                log.position_ = p;
                found = true;
            }
        }
        if (!found)
            return refuse(fault_code::corrupt_log, stage::surviving,
                region.first() + byte_count::of(offsetof(log_header, positions)));
        return log;
    }

    /// The log in one of the map's surviving regions.
    /// Faults: no_log (at: 0), corrupt_log (the first region that has a log's magic number, but not a log).
    static result<surviving_log> find(M& memory, const region_map& map)
    {
        for (const region& r : map.regions()) {
            if (r.kind != region_kind::surviving)
                continue;
            auto log = open(memory, r.range);
            if (log || log.error().code == fault_code::corrupt_log)
                return log;
        }
        return refuse(fault_code::no_log, stage::surviving, std::uint64_t{0});
    }

    /// Appends text; the oldest records make room.
    void append(std::string_view text)
    {
        do {
            std::string_view here = text;
            here.remove_suffix(text.size() - std::min(text.size(), longest_record));
            append_record(here);
            text.remove_prefix(here.size());
        } while (!text.empty());
    }

    /// Calls `visit(std::string_view)` for each record, oldest first.
    /// Faults: corrupt_log (at: the first record that does not check out; those before it have been visited).
    template <class Visit> result<void> for_each(Visit visit) const
    {
        std::array<char, longest_record> text;
        for (std::uint32_t done = 0; done < position_.used;) {
            const auto size = read_record(wrap(position_.begin + done), position_.used - done, text);
            if (!size)
                return std::unexpected{size.error()};
            visit(std::string_view{text.data(), *size});
            done += record_size(*size);
        }
        return {};
    }

    /// Where the overlay may leave its breadcrumb.
    phys_addr trail() const { return at_ + byte_count::of(offsetof(log_header, trail)); }

    /// The whole region: header and ring.
    phys_range memory_range() const { return phys_range::of(at_, header_size + byte_count::of(capacity_)); }

private:
    struct record {
        std::uint32_t size; ///< of the text; padded to 8
        std::uint32_t crc;  ///< of the size and the text
    };
    static constexpr std::uint32_t most_capacity = 1u << 30;

    surviving_log(M& memory, phys_addr at, std::uint32_t capacity) : memory_{&memory}, at_{at}, capacity_{capacity} {}

    /// Two pages at least, on a page. The region may be all of memory: nobody asks for its size.
    static bool has_room(phys_range region)
    {
        return is_aligned(region.first(), header_size) &&
            region.last() - region.first() >= header_size + header_size - byte_count::of(1);
    }
    /// A whole number of words, and so little that no sum of two offsets wraps. Precondition: `has_room(region)`.
    static std::uint32_t largest_ring(phys_range region)
    {
        const std::uint64_t all_but_one = (region.last() - region.first() - header_size).raw();
        return all_but_one >= most_capacity ? most_capacity : static_cast<std::uint32_t>(all_but_one + 1) & ~7u;
    }
    /// Serials wrap, so the later of two is the one that the other reaches by counting less than half around.
    static constexpr bool is_later(std::uint32_t a, std::uint32_t b) { return static_cast<std::int32_t>(a - b) > 0; }

    static std::uint32_t checksum(const log_header& h)
    {
        return crc32c{}.update(bytes_of(h).first(offsetof(log_header, crc))).value();
    }
    static std::uint32_t checksum(const log_position& p)
    {
        return crc32c{}.update(bytes_of(p).first(offsetof(log_position, crc))).value();
    }
    static std::uint32_t checksum(std::uint32_t size, std::string_view text)
    {
        return crc32c{}.update(bytes_of(size)).update(std::as_bytes(std::span{text})).value();
    }
    static constexpr std::uint32_t record_size(std::size_t text)
    {
        return static_cast<std::uint32_t>(sizeof(record) + ((text + 7) & ~std::size_t{7}));
    }
    std::uint32_t wrap(std::uint32_t offset) const { return offset >= capacity_ ? offset - capacity_ : offset; }
    phys_addr ring(std::uint32_t offset) const { return at_ + header_size + byte_count::of(offset); }

    /// Both go around the end of the ring.
    void read_ring(std::uint32_t offset, std::span<std::byte> out) const
    {
        const std::size_t here = std::min<std::size_t>(out.size(), capacity_ - offset);
        memory_->read(ring(offset), out.first(here));
        if (here < out.size())
            memory_->read(ring(0), out.subspan(here));
    }
    void write_ring(std::uint32_t offset, std::span<const std::byte> in)
    {
        const std::size_t here = std::min<std::size_t>(in.size(), capacity_ - offset);
        memory_->write(ring(offset), in.first(here));
        if (here < in.size())
            memory_->write(ring(0), in.subspan(here));
    }

    /// The size of the text of the record at `offset`, which is put in `text`.
    result<std::uint32_t> read_record(std::uint32_t offset, std::uint32_t left, std::span<char> text) const
    {
        record r{};
        read_ring(offset, {reinterpret_cast<std::byte*>(&r), sizeof r});
        if (r.size > longest_record || record_size(r.size) > left)
            return refuse(fault_code::corrupt_log, stage::surviving, ring(offset));
        const auto here = text.first(r.size);
        read_ring(wrap(offset + static_cast<std::uint32_t>(sizeof r)), std::as_writable_bytes(here));
        if (r.crc != checksum(r.size, {here.data(), here.size()}))
            return refuse(fault_code::corrupt_log, stage::surviving, ring(offset));
        return r.size;
    }

    void append_record(std::string_view text)
    {
        const auto size = static_cast<std::uint32_t>(text.size());
        if (make_room(record_size(size)))
            commit_position(); // before anything old is written over
        const record r{size, checksum(size, text)};
        const std::uint32_t at = wrap(position_.begin + position_.used);
        write_ring(at, bytes_of(r));
        write_ring(wrap(at + static_cast<std::uint32_t>(sizeof r)), std::as_bytes(std::span{text}));
        position_.used += record_size(size);
        commit_position();
    }

    /// Forgets the oldest records until `size` bytes are free; a record that cannot be read takes all the others with
    /// it. True when something was forgotten.
    bool make_room(std::uint32_t size)
    {
        bool forgotten = false;
        std::array<char, longest_record> text;
        while (capacity_ - position_.used < size) {
            const auto oldest = read_record(position_.begin, position_.used, text);
            const std::uint32_t gone = oldest ? record_size(*oldest) : position_.used;
            position_.begin = wrap(position_.begin + gone);
            position_.used -= gone;
            forgotten = true;
        }
        return forgotten;
    }

    void commit_position()
    {
        ++position_.serial;
        position_.crc = checksum(position_);
        const std::uint64_t slot = offsetof(log_header, positions) + (position_.serial & 1) * sizeof(log_position);
        store(*memory_, at_ + byte_count::of(slot), position_);
    }

    M* memory_;
    phys_addr at_;
    std::uint32_t capacity_;
    log_position position_{};
};

} // namespace lobos
