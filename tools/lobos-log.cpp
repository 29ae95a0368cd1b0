// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause

/// \file
/// lobos-log: prints the log that an earlier kernel left in memory. For a Linux that was started by a kernel exec: it
/// looks through the reserved regions of /proc/iomem in /dev/mem, believes nothing that does not check out, and ends
/// with what the overlay noted on its way. Both files can be named, so that a dump can be read elsewhere.
///
/// Usage: lobos-log [IOMEM [MEMORY]]
/// Status: 0 a log was printed, 1 there is none, 2 it could not be looked for or is corrupt.

#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <unistd.h>

#include <lobos/machine/exceptions.hpp>
#include <lobos/survive/log.hpp>

void lobos::contract_violated(const char* what)
{
    std::fprintf(stderr, "lobos-log: contract violated: %s\n", what);
    std::abort();
}

namespace {

using namespace lobos;

/// /dev/mem, or a file like it. What cannot be read reads as zeros, and is remembered.
class memory_file {
public:
    explicit memory_file(int descriptor) : descriptor_{descriptor} {}

    void read(phys_addr at, std::span<std::byte> out)
    {
        while (!out.empty()) {
            const ssize_t n = pread(descriptor_, out.data(), out.size(), static_cast<off_t>(at.raw()));
            if (n <= 0) {
                failed = true;
                std::ranges::fill(out, std::byte{0});
                return;
            }
            out = out.subspan(static_cast<std::size_t>(n));
            at += byte_count::of(static_cast<std::uint64_t>(n));
        }
    }
    void write(phys_addr, std::span<const std::byte>) { std::abort(); } // nobody writes here

    bool failed = false;

private:
    int descriptor_;
};

/// The next reserved region of the list, from 1 MiB up: below lies the firmware, not a log.
bool next_reserved(std::FILE* list, phys_range& found)
{
    char line[256];
    while (std::fgets(line, sizeof line, list)) {
        std::uint64_t first = 0;
        std::uint64_t last = 0;
        char name[128] = "";
        if (std::sscanf(line, " %" SCNx64 "-%" SCNx64 " : %127[^\n]", &first, &last, name) != 3)
            continue;
        const bool reserved = std::strcmp(name, "Reserved") == 0 || std::strcmp(name, "reserved") == 0;
        if (!reserved || first < 0x10'0000 || first > last)
            continue;
        found = phys_range::between(phys_addr::at(first), phys_addr::at(last));
        return true;
    }
    return false;
}

int print(const surviving_log<memory_file>& log, memory_file& memory)
{
    const auto read =
        log.for_each([](std::string_view text) { std::printf("%.*s\n", static_cast<int>(text.size()), text.data()); });
    const auto crumb = load<breadcrumb>(memory, log.trail());
    if (crumb.stage == static_cast<std::uint32_t>(overlay_stage::copied) && crumb.ticks_per_ms != 0)
        std::printf("report: copy = %" PRIu64 " microseconds\n", crumb.copy_ticks() * 1000 / crumb.ticks_per_ms);
    if (crumb.exception != 0) {
        const auto record = guard_record<machine::exceptions>(crumb);
        std::printf("guard: an exec %.*s\n", static_cast<int>(record.view().size()), record.view().data());
    }
    if (!read)
        std::fprintf(stderr, "lobos-log: corrupt at 0x%" PRIx64 "\n", read.error().at);
    return read ? 0 : 2;
}

} // namespace

int main(int argc, char** argv)
{
    const char* const iomem = argc > 1 ? argv[1] : "/proc/iomem";
    const char* const mem = argc > 2 ? argv[2] : "/dev/mem";
    std::FILE* const list = std::fopen(iomem, "r");
    const int descriptor = open(mem, O_RDONLY);
    if (!list || descriptor < 0) {
        std::perror(list ? mem : iomem);
        return 2;
    }
    memory_file memory{descriptor};
    phys_range region = phys_range::between(phys_addr::at(0), phys_addr::at(0));
    while (next_reserved(list, region)) {
        constexpr byte_count page = surviving_log<memory_file>::header_size;
        // Two neighbours may have become one region: a log begins at a page, not always at the region's first.
        for (std::optional<phys_addr> at = checked_align_up(region.first(), page); at && *at < region.last();
            at = checked_add(*at, page)) {
            const auto log = surviving_log<memory_file>::open(memory, phys_range::between(*at, region.last()));
            if (memory.failed)
                break; // not ours to read: a device's
            if (log)
                return print(*log, memory);
            if (log.error().code == fault_code::corrupt_log) {
                std::fprintf(stderr, "lobos-log: corrupt at 0x%" PRIx64 "\n", log.error().at);
                return 2;
            }
        }
        memory.failed = false;
    }
    std::fprintf(stderr, "lobos-log: no log survives\n");
    return 1;
}
