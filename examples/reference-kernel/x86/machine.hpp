// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// What the loader, or the kernel before, told this one: memory map, files, command line. All of it is copied before
/// any frame is given out, for it lies in memory that is about to be free.

#include "../console.hpp"
#include "../files.hpp"
#include "../options.hpp"
#include "efi.hpp"
#include "rsdp.hpp"
#include "told.hpp"

#include <lobos/core/region_map.hpp>

namespace kernel {

class machine {
    std::array<lobos::region, 256> map_storage_{};

public:
    lobos::region_map map{map_storage_};
    file_table files;
    std::string_view command_line;
    efi_tables efi;
    std::optional<lobos::phys_range> log_region; ///< where the log lies or is to lie; nothing without room

    /// Reads it all, told by `told_by_multiboot` or `told_by_multiboot2`, and makes the free memory known.
    /// Faults: those of the multiboot readers and of efi_tables; no_space when there are more files or longer names
    /// than there is room for; no_memory without room for a workspace.
    template <class Told> lobos::result<void> start(const Told& told)
    {
        using namespace lobos;
        region_map told_map{told_storage_};
        auto ok = told.read_memory_map(told_map);
        // The kernel before needs its safe regions no longer: this one stands on its own tables.
        for (const region& r : told_map.regions())
            if (ok)
                ok = map.add(r.range, r.kind == region_kind::safe ? region_kind::usable : r.kind);
        if (ok)
            ok = read_efi(told);
        if (ok)
            ok = read_strings(told);
        if (ok)
            ok = keep_survivors();
        if (!ok)
            return ok;

        for (const region& r : map.regions())
            if (r.kind == region_kind::usable)
                frame_pool.add(r.range);
        frame_pool.remove(phys_range::of(0_pa, 1_MiB)); // the firmware's and the loader's
        frame_pool.remove(own_image());
        for (const file& f : files)
            frame_pool.remove(phys_range::of(f.at, f.size));

        // Room for what a plan takes if every frame is a run of its own. The loader's files are not larger than memory
        // below 4 GiB, so that above it is left to the images.
        const std::size_t pages = frame_pool.free_below_4g() / 36 + 16;
        const auto row = frame_pool.take_row(pages, below_4g);
        if (!row)
            return refuse(fault_code::no_memory, stage::loading, pages * page_size.raw());
        workspace.use({pointer_to(*row), pages * static_cast<std::size_t>(page_size.raw())});
        return {};
    }

private:
    /// The padding survives only for the sake of this kernel itself: another image may want its place.
    lobos::result<void> keep_survivors()
    {
        using namespace lobos;
        if (parse(command_line).chain != 0)
            if (const auto kept = map.add(padding_page(), region_kind::surviving); !kept)
                return kept;
        fixed_list<phys_range, file_table::capacity() + 1> taken;
        (void)taken.push_back(own_image());
        for (const file& f : files)
            (void)taken.push_back(phys_range::of(f.at, f.size));
        log_region = place_of_log(map, taken);
        return log_region ? map.add(*log_region, region_kind::surviving) : result<void>{};
    }

    template <class Told> lobos::result<void> read_efi(const Told& told)
    {
        const auto firmware = told.efi();
        if (!firmware)
            return std::unexpected{firmware.error()};
        if (!*firmware)
            return {};
        const auto taken = efi.take(**firmware, map);
        if (taken)
            efi_root_pointer = efi.acpi_root;
        return taken;
    }

    template <class Told> lobos::result<void> read_strings(const Told& told)
    {
        using namespace lobos;
        const auto room = [&] { return std::span{strings_}.subspan(strings_used_); };
        const auto line = told.command_line(room());
        if (!line)
            return std::unexpected{line.error()};
        command_line = *line;
        strings_used_ += line->size() + 1;
        const auto count = told.file_count();
        if (!count)
            return std::unexpected{count.error()};
        for (std::uint32_t i = 0; i < *count; ++i) {
            const auto module = told.file(i, room());
            if (!module)
                return std::unexpected{module.error()};
            strings_used_ += module->string.size() + 1;
            // The last word of the module's string is the file's path.
            const std::string_view path = text_from(module->string, module->string.rfind(' ') + 1);
            // A loader may promise more than memory holds; what is not there cannot be read, and is no file.
            const auto range = phys_range::checked(module->start, module->size);
            if (!range || !mapped_memory.contains(*range) || map.first_not(region_kind::usable, *range)) {
                out.show(text_line{"file "}.add(path).add(" is empty or not in memory, ignored"));
                continue;
            }
            if (!files.push_back({path, module->start, module->size}))
                return refuse(fault_code::no_space, stage::loading, files.size() + 1);
        }
        return {};
    }

    std::array<lobos::region, 256> told_storage_{};
    std::array<char, 16384> strings_{};
    std::size_t strings_used_ = 0;
};

} // namespace kernel
