// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// Faults: what went wrong, where, and in which stage. Every function of the library that can fail returns one, and
/// its comment lists the codes it can return. A fault is returned before the point of no return only, and whoever
/// returns it has put back what it took.

#include <cstdint>
#include <expected>
#include <string_view>
#include <type_traits>
#include <utility>

#include <lobos/core/address.hpp>

namespace lobos {

/// What went wrong. The comment says what `fault::at` holds.
enum class fault_code : std::uint8_t {
    // What the machine or the embedder could not give.
    no_memory,        ///< the glue had no page, or no workspace (at: bytes asked for, 0 for one page)
    no_space,         ///< the storage handed in is too small (at: entries needed, at least; of a text or code, bytes)
    no_room,          ///< no hole in usable memory for a part of the image (at: its size)
    too_many_regions, ///< more regions than the receiving format can hold (at: how many)

    too_many_cuts, ///< sources lie across destinations so finely that planning does not end in time (at: runs left)

    // What is wrong with an image or its parameters.
    unknown_format,  ///< neither of the formats known (at: file offset)
    truncated_image, ///< the file ends before what its header promises (at: first missing file offset)
    bad_header,      ///< a header field contradicts the format (at: file offset of the field)
    unsupported,     ///< it needs what lobos does not do (at: of an image, file offset of the field; of the machine,
                     ///< the register, or the state that was asked for)
    command_line_too_long, ///< (at: its length without the terminator)
    empty_image,           ///< nothing to load, or an initrd of no bytes (at: 0)
    digest_mismatch,       ///< the file's checksum is not the one expected (at: 0)

    // What the verifier refuses.
    bad_range,                  ///< empty, or wraps, or beyond the machine's reach (at: first address)
    destination_not_usable,     ///< (at: first address that is not usable memory)
    destinations_overlap,       ///< two parts of the image want one byte (at: that byte)
    destination_in_safe_region, ///< (at: that byte)
    source_in_safe_region,      ///< the staged image lies in memory that is written before the copy (at: that byte)
    source_size_mismatch,       ///< a segment's source is shorter than the segment (at: destination)
    step_not_in_image,          ///< a step writes what the image did not ask for (at: its destination)
    step_wrong_source,          ///< a step writes something else than the image wants there (at: its destination)
    source_overwritten,         ///< a step reads what an earlier one has overwritten (at: its source)
    image_not_covered,          ///< a part of the image is never written (at: destination of the segment)
    not_mapped,                 ///< the overlay will touch an address that the new tables do not map there (at: it)
    not_writable,               ///< as above, mapped read-only (at: it)
    not_executable,             ///< as above, where instructions are fetched (at: it)
    outside_safe_region,        ///< code, stack, plan, tables or descriptors lie in no safe region (at: first byte)
    safe_regions_overlap,       ///< (at: first common byte)
    switch_page_differs,        ///< the page of the switch maps differently in old and new tables (at: virtual)
    bad_descriptor_table,       ///< it, or what is in it, is not what the handoff needs (at: selector, base, limit, or
                                ///< the handler of a gate)
    entry_not_in_image,         ///< (at: entry)
    entry_contract_broken,      ///< the machine state or a table the image's entry relies on is not met (at: which)

    // What page tables can be wrong about.
    bad_page_table,   ///< an entry with reserved bits, or a table outside memory (at: entry's physical address)
    mapping_conflict, ///< two mappings want one virtual address (at: it)
    misaligned,       ///< not a multiple of the page size, or of what else it is counted in (at: it)

    // What keeps a machine from being left.
    memory_encrypted, ///< what lies in memory is not what another kernel would read (at: CR4)
    wrong_processor,  ///< not the one that can stop all others (at: 0)

    // What changed between prepare() and commit().
    memory_map_changed,       ///< (at: new generation)
    table_root_changed,       ///< (at: new root)
    descriptor_table_changed, ///< (at: new base)
    staged_image_changed,     ///< checksum differs (at: destination of the segment, or the safe page)

    // What survives.
    no_log,      ///< no surviving log here (at: address looked at)
    corrupt_log, ///< (at: address)
};

/// The stage of the exec a fault was found in.
enum class stage : std::uint8_t { loading, mapping, planning, verifying, staging, committing, surviving };

struct [[nodiscard]] fault {
    fault_code code;
    stage in;
    std::uint64_t at; ///< an address, offset or count: see the code
    friend constexpr bool operator==(fault, fault) = default;
};

/// A `std::expected` that cannot be dropped without a warning, as the standard's own can.
template <class T> struct [[nodiscard]] result : std::expected<T, fault> {
    using base = std::expected<T, fault>;
    using base::base;
    constexpr result(base other) : base{std::move(other)} {} // NOLINT(google-explicit-constructor)

    /// Compares with a result, a value or an unexpected fault.
    template <class U> friend constexpr bool operator==(const result& a, const U& b)
    {
        if constexpr (std::is_same_v<U, result>)
            return static_cast<const base&>(a) == static_cast<const base&>(b);
        else
            return static_cast<const base&>(a) == b;
    }
};

/// For `return refuse(...)` in functions that return a `result`.
constexpr std::unexpected<fault> refuse(fault_code code, stage in, std::uint64_t at)
{
    return std::unexpected<fault>{fault{code, in, at}};
}
template <class Space>
constexpr std::unexpected<fault> refuse(fault_code code, stage in, basic_address<Space> at)
{
    return refuse(code, in, at.raw());
}

/// The code in words, for one line of a console.
constexpr std::string_view to_string(fault_code code)
{
    using namespace std::string_view_literals;
    switch (code) {
    case fault_code::no_memory: return "no memory left"sv;
    case fault_code::no_space: return "storage too small"sv;
    case fault_code::no_room: return "no room in usable memory"sv;
    case fault_code::too_many_cuts: return "too many pieces of the image wait for each other"sv;
    case fault_code::too_many_regions: return "memory map has too many regions"sv;
    case fault_code::unknown_format: return "not an image format known here"sv;
    case fault_code::truncated_image: return "image is truncated"sv;
    case fault_code::bad_header: return "image header is not valid"sv;
    case fault_code::unsupported: return "image needs something unsupported"sv;
    case fault_code::command_line_too_long: return "command line is too long"sv;
    case fault_code::empty_image: return "image is empty"sv;
    case fault_code::digest_mismatch: return "image has another checksum than expected"sv;
    case fault_code::bad_range: return "address range is not valid"sv;
    case fault_code::destination_not_usable: return "destination is not usable memory"sv;
    case fault_code::destinations_overlap: return "destinations overlap"sv;
    case fault_code::destination_in_safe_region: return "destination lies in a safe region"sv;
    case fault_code::source_in_safe_region: return "source lies in a safe region"sv;
    case fault_code::source_size_mismatch: return "segment is longer than its source"sv;
    case fault_code::step_not_in_image: return "step writes outside the image"sv;
    case fault_code::step_wrong_source: return "step copies from the wrong place"sv;
    case fault_code::source_overwritten: return "source is overwritten before it is read"sv;
    case fault_code::image_not_covered: return "part of the image is never written"sv;
    case fault_code::not_mapped: return "address is not mapped in the new tables"sv;
    case fault_code::not_writable: return "address is not writable in the new tables"sv;
    case fault_code::not_executable: return "address cannot be executed in the new tables"sv;
    case fault_code::outside_safe_region: return "not inside a safe region"sv;
    case fault_code::safe_regions_overlap: return "safe regions overlap"sv;
    case fault_code::switch_page_differs: return "page of the switch maps differently"sv;
    case fault_code::bad_descriptor_table: return "descriptor table is not valid"sv;
    case fault_code::entry_not_in_image: return "entry is not inside the image"sv;
    case fault_code::entry_contract_broken: return "entry contract is not met"sv;
    case fault_code::bad_page_table: return "page table is not valid"sv;
    case fault_code::mapping_conflict: return "mappings conflict"sv;
    case fault_code::memory_encrypted: return "memory is encrypted"sv;
    case fault_code::wrong_processor: return "not on the boot processor"sv;
    case fault_code::misaligned: return "address is not aligned"sv;
    case fault_code::memory_map_changed: return "memory map has changed"sv;
    case fault_code::table_root_changed: return "page-table root has changed"sv;
    case fault_code::descriptor_table_changed: return "descriptor table has changed"sv;
    case fault_code::staged_image_changed: return "staged image has changed"sv;
    case fault_code::no_log: return "no surviving log"sv;
    case fault_code::corrupt_log: return "surviving log is corrupt"sv;
    }
    return "unknown fault"sv;
}

constexpr std::string_view to_string(stage in)
{
    using namespace std::string_view_literals;
    switch (in) {
    case stage::loading: return "loading"sv;
    case stage::mapping: return "mapping"sv;
    case stage::planning: return "planning"sv;
    case stage::verifying: return "verifying"sv;
    case stage::staging: return "staging"sv;
    case stage::committing: return "committing"sv;
    case stage::surviving: return "surviving"sv;
    }
    return "unknown stage"sv;
}

} // namespace lobos
