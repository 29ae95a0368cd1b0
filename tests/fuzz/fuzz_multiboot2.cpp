// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// load_multiboot2 on any bytes, at the beginning of a file or elsewhere in it, against a second reading of header and
// tags. An ELF file in it is for fuzz_elf32 and fuzz_elf64. Input: shape of the file, where the bytes lie, then the
// bytes.

#include <lobos/image/multiboot2.hpp>

#include <tests/fuzz/flat_oracle.hpp>

using namespace lobos;
using namespace lobos::fuzz;

namespace {

struct oracle {
    const long_file& file;
    wanted_flat wanted = {};
    std::optional<std::uint64_t> addresses = {};
    std::optional<std::uint32_t> entry = {};

    std::uint32_t word(std::uint64_t at) const { return file.peek<std::uint32_t>(at); }

    std::optional<std::uint64_t> header() const
    {
        for (std::uint64_t at = 0; at <= 32768 - 16 && file.has(at, 16); at += 8) {
            const std::uint64_t sum = std::uint64_t{word(at)} + word(at + 4) + word(at + 8) + word(at + 12);
            if (word(at) == 0xe852'50d6 && sum % 0x1'0000'0000 == 0)
                return at;
        }
        return std::nullopt;
    }

    wanted_flat read()
    {
        const auto found = header();
        must(found.has_value() == is_multiboot2(file), "a header that is none, or none that is one");
        if (!found) {
            wanted.faults.add(fault_code::unknown_format);
            return wanted;
        }
        const wide behind = wide{*found} + word(*found + 8);
        wanted.faults.add_if(word(*found + 4) != 0, fault_code::unsupported);
        wanted.faults.add_if(word(*found + 8) < 24 || behind > 32768, fault_code::bad_header);
        wanted.faults.add_if(!file.has(0, behind), fault_code::truncated_image);
        if (wanted.faults.none())
            read_tags(*found + 16, static_cast<std::uint64_t>(behind));
        if (wanted.faults.none())
            place(*found);
        return wanted;
    }

    void read_tags(std::uint64_t at, std::uint64_t behind)
    {
        while (true) {
            if (at + 8 > behind)
                return wanted.faults.add(fault_code::bad_header);
            const std::uint32_t type = word(at) & 0xffff, size = word(at + 4);
            const bool optional = (word(at) >> 16 & 1) != 0;
            if (size < 8 || at + size > behind)
                return wanted.faults.add(fault_code::bad_header);
            if (type == 0)
                return;
            if (type == 1)
                read_requests(at, size, optional);
            if ((type == 2 && size < 24) || (type == 3 && size < 12))
                return wanted.faults.add(fault_code::bad_header);
            if (type == 2)
                addresses = at + 8;
            if (type == 3)
                entry = word(at + 8);
            if (type == 6)
                wanted.module_alignment = 4096;
            wanted.video_mode |= type == 5;
            const bool taken = (type >= 1 && type <= 3) || type == 6 || type == 10;
            wanted.faults.add_if(!taken && !optional, fault_code::unsupported);
            if (!wanted.faults.none())
                return;
            at += (size + 7) / 8 * 8;
        }
    }

    void read_requests(std::uint64_t at, std::uint32_t size, bool optional)
    {
        wanted.faults.add_if(size % 4 != 0, fault_code::bad_header);
        for (std::uint64_t next = at + 8; next + 4 <= at + size; next += 4) {
            const std::uint32_t type = word(next);
            constexpr std::uint32_t given[] = {0, 1, 2, 3, 4, 5, 6, 11, 12, 14, 15, 17};
            wanted.faults.add_if(
                !optional && std::ranges::find(given, type) == std::end(given), fault_code::unsupported);
            wanted.memory_map |= type == 4 || type == 6;
        }
    }

    void place(std::uint64_t found)
    {
        if (!addresses) {
            wanted.elf = load_flat_elf(file, entry ? std::optional{phys_addr::at(*entry)} : std::nullopt);
            return;
        }
        std::uint32_t a[] = {word(*addresses), word(*addresses + 4), word(*addresses + 8), word(*addresses + 12)};
        wanted.faults.add_if(!entry, fault_code::bad_header);
        if (a[1] == 0xffff'ffff) {
            wanted.faults.add_if(a[0] < found, fault_code::bad_header);
            a[1] = a[0] - std::min(a[0], static_cast<std::uint32_t>(found));
        }
        if (wanted.faults.none())
            wanted.by_addresses(file, found, a, *entry);
    }
};

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    return fuzz_flat<oracle>({data, size}, [](const long_file& file) { return load_multiboot2(file); });
}
