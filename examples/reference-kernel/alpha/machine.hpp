// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// What the console and the loader told this kernel: the HWRPB, memory, and a page of parameters as Linux gets it. The
/// loader's file for an initrd is the only one there is; if it is an archive, the files are those in it.

#include "../linear_memory.hpp"
#include "archive.hpp"

#include <lobos/alpha/linux_parameters.hpp>
#include <lobos/alpha/memory_clusters.hpp>

#include <optional>

extern std::byte image_begin[];
extern std::byte image_end[];

namespace kernel {

/// This kernel, with all that Linux takes for its own below where it starts.
inline lobos::phys_range own_image()
{
    using namespace lobos;
    const auto physical = [](const std::byte* p) {
        return *alpha::from_kseg(virt_addr::at(reinterpret_cast<std::uintptr_t>(p)));
    };
    return phys_range::between(physical(image_begin) - alpha::linux_below_start, physical(image_end) - 1_bytes);
}

class machine {
    std::array<lobos::region, 64> map_storage_{};
    std::array<char, lobos::alpha::linux_page::command_line_size> text_{};

public:
    lobos::region_map map{map_storage_};
    std::string_view command_line;
    std::optional<lobos::phys_range> initrd; ///< all of it
    file_table files;
    std::optional<lobos::alpha::hwrpb_reader<linear_memory>> block; ///< the HWRPB

    /// Precondition: `start` has read it all.
    lobos::virt_addr virtual_page_table() const { return lobos::virt_addr::at(block->fixed().vptb); }

    /// Reads it all. Faults: those of the readers; bad_range when the HWRPB or the initrd lies where this kernel does
    /// not see it.
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
        block = *reader;
        if (auto told = alpha::add_memory_clusters(map, *reader); !told)
            return told;

        const auto start = own_image().first() + alpha::linux_below_start;
        const auto pages = alpha::linux_pages_below(start);
        if (!pages)
            return std::unexpected{pages.error()};
        const auto parameters = alpha::read_linux_page(memory, pages->parameters, text_);
        if (!parameters)
            return std::unexpected{parameters.error()};
        command_line = parameters->command_line;
        initrd = parameters->initrd;
        if (initrd && (!mapped_memory.contains(*initrd) || map.first_not(region_kind::usable, *initrd)))
            return refuse(fault_code::bad_range, stage::loading, initrd->first());
        return initrd ? list_files(*initrd) : result<void>{};
    }

private:
    lobos::result<void> list_files(lobos::phys_range where)
    {
        const archive all{pointer_to(where.first()), where.size()};
        if (all.has_magic())
            return all.list(where.first(), files);
        (void)files.push_back({"initrd", where.first(), where.size()});
        return {};
    }
};

} // namespace kernel
