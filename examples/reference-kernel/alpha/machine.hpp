// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// What the console, or the kernel before, told this kernel: the HWRPB, memory, and a page of parameters as Linux gets
/// it. The loader's file for an initrd is the only one there is; it is called `initrd`, and if it is an archive, the
/// files in it are files, too.

#include "../arena.hpp"
#include "../clock.hpp"
#include "../console.hpp"
#include "../frames.hpp"
#include "../options.hpp"
#include "../survivors.hpp"
#include "archive.hpp"

#include <lobos/alpha/hwrpb_copy.hpp>
#include <lobos/alpha/linux_parameters.hpp>
#include <lobos/alpha/machine_facts.hpp>
#include <lobos/alpha/memory_clusters.hpp>
#include <lobos/machine/palcode.hpp>

namespace kernel {

class machine {
    std::array<lobos::region, 64> map_storage_{};
    std::array<char, lobos::alpha::linux_page::command_line_size> text_{};

public:
    lobos::region_map map{map_storage_};
    std::string_view command_line;
    file_table files;
    std::optional<lobos::alpha::hwrpb_reader<linear_memory>> block; ///< the HWRPB, a copy in this kernel
    std::optional<lobos::phys_range> log_region; ///< where the log lies or is to lie; nothing without room

    /// What the console knows of the processor that runs, and the board. Precondition: `start` has read it all.
    lobos::alpha::machine_facts told() const
    {
        auto facts = lobos::alpha::facts_of(*block, lobos::machine::call_pal<lobos::alpha::pal::whami>());
        facts.reset = {lobos::virt_addr::at(io_space + 0x64), 0xfe}; // as reset() does
        return facts;
    }

    /// Reads it all, and makes the free memory known. Faults: those of the readers; bad_range when the HWRPB or the
    /// initrd lies where this kernel does not see it; no_memory without room for a workspace.
    lobos::result<void> start()
    {
        using namespace lobos;
        // The console has mapped it for us, and its first number is where it really lies.
        const auto at = phys_addr::at(*reinterpret_cast<const volatile std::uint64_t*>(alpha::hwrpb::console_address));
        if (!mapped_memory.contains(at))
            return refuse(fault_code::bad_range, stage::loading, at);
        const auto reader = alpha::hwrpb_reader<linear_memory>::open(memory, at);
        if (!reader)
            return std::unexpected{reader.error()};
        timer.set(static_cast<std::uint32_t>(reader->fixed().cycle_frequency / 1000));
        result<void> ok = read_memory(*reader);
        if (ok)
            ok = read_parameters();
        if (ok)
            ok = keep_survivors();
        return ok ? make_room() : ok;
    }

private:
    /// The kernel before needs its safe regions no longer: this one copies the HWRPB that it was told, and makes tables
    /// and a context of its own. Whether the padding is to survive further, this one decides.
    lobos::result<void> read_memory(const lobos::alpha::hwrpb_reader<linear_memory>& told)
    {
        using namespace lobos;
        region_map clusters{told_storage_};
        auto ok = alpha::add_memory_clusters(clusters, told);
        for (const region& r : clusters.regions()) {
            const bool passes = r.kind == region_kind::safe || r.range == padding_page();
            if (ok)
                ok = map.add(r.range, passes ? region_kind::usable : r.kind);
        }
        if (!ok)
            return ok;
        const phys_addr own = physical(own_block_, own_block_ + sizeof own_block_).first();
        const auto copied = alpha::copy_hwrpb(memory, told, map, own, own_block_);
        if (!copied)
            return std::unexpected{copied.error()};
        const auto copy = alpha::hwrpb_reader<linear_memory>::open(memory, own);
        if (!copy)
            return std::unexpected{copy.error()};
        block = *copy;
        return {};
    }

    lobos::result<void> read_parameters()
    {
        using namespace lobos;
        const auto pages = alpha::linux_pages_below(own_image().first());
        if (!pages)
            return std::unexpected{pages.error()};
        const auto parameters = alpha::read_linux_page(memory, pages->parameters, text_);
        if (!parameters)
            return std::unexpected{parameters.error()};
        command_line = parameters->command_line;
        const auto& initrd = parameters->initrd;
        if (!initrd)
            return {};
        if (!mapped_memory.contains(*initrd) || map.first_not(region_kind::usable, *initrd))
            return refuse(fault_code::bad_range, stage::loading, initrd->first());
        (void)files.push_back({"initrd", initrd->first(), initrd->size()});
        const archive all{pointer_to(initrd->first()), initrd->size()};
        return all.has_magic() ? all.list(initrd->first(), files) : result<void>{};
    }

    /// The padding survives only for the sake of this kernel itself, and so until another is to be executed: that wants
    /// its place.
    lobos::result<void> keep_survivors()
    {
        using namespace lobos;
        const options own = parse(command_line);
        if (own.chain != 0 && (own.generation < own.chain || own.exec.empty()))
            if (const auto kept = map.add(padding_page(), region_kind::surviving); !kept)
                return kept;
        fixed_list<phys_range, 2> taken;
        (void)taken.push_back(own_image());
        if (!files.empty())
            (void)taken.push_back(phys_range::of(files[0].at, files[0].size));
        log_region = place_of_log(map, taken);
        return log_region ? map.add(*log_region, region_kind::surviving) : result<void>{};
    }

    lobos::result<void> make_room()
    {
        using namespace lobos;
        for (const region& r : map.regions())
            if (r.kind == region_kind::usable)
                frame_pool.add(r.range);
        // With what Linux, and so every kernel in its place, may take on its sides.
        frame_pool.remove(phys_range::of(own_image().first() - alpha::linux_below_start, alpha::linux_below_start));
        frame_pool.remove(own_image());
        if (!files.empty())
            frame_pool.remove(phys_range::of(files[0].at, files[0].size));
        // Room for what a plan takes if every frame is a run of its own.
        const std::size_t pages = frame_pool.free() / 72 + 16;
        const auto row = frame_pool.take_row(pages, mapped_memory);
        if (!row)
            return refuse(fault_code::no_memory, stage::loading, pages * page_size.raw());
        workspace.use({pointer_to(*row), pages * static_cast<std::size_t>(page_size.raw())});
        return {};
    }

    std::array<lobos::region, 64> told_storage_{};
    alignas(8192) std::byte own_block_[16384]{};
};

} // namespace kernel
