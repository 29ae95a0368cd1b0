// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// load_multiboot on any bytes, at the beginning of a file or elsewhere in it, against a second reading of the header.
// An ELF file in it is for fuzz_elf32 and fuzz_elf64. Input: shape of the file, where the bytes lie, then the bytes.

#include <lobos/image/multiboot.hpp>

#include <tests/fuzz/flat_oracle.hpp>

using namespace lobos;
using namespace lobos::fuzz;

namespace {

struct oracle {
    const long_file& file;
    wanted_flat wanted = {};

    std::uint32_t word(std::uint64_t at) const { return file.peek<std::uint32_t>(at); }

    std::optional<std::uint64_t> header() const
    {
        for (std::uint64_t at = 0; at <= 8192 - 12 && file.has(at, 12); at += 4)
            if (word(at) == 0x1bad'b002 && (std::uint64_t{word(at)} + word(at + 4) + word(at + 8)) % 0x1'0000'0000 == 0)
                return at;
        return std::nullopt;
    }

    wanted_flat read()
    {
        const auto found = header();
        must(found.has_value() == is_multiboot(file), "a header that is none, or none that is one");
        if (!found) {
            wanted.faults.add(fault_code::unknown_format);
            return wanted;
        }
        const std::uint32_t flags = word(*found + 4);
        wanted.module_alignment = (flags & 1) != 0 ? 4096 : 1;
        wanted.memory_map = (flags & 2) != 0;
        wanted.video_mode = (flags & 4) != 0;
        wanted.faults.add_if((flags & 0xfff8) != 0, fault_code::unsupported);
        if ((flags & 0x1'0000) == 0) {
            wanted.elf = load_flat_elf(file);
            return wanted;
        }
        wanted.faults.add_if(*found + 32 > 8192, fault_code::bad_header);
        wanted.faults.add_if(!file.has(*found, 32), fault_code::truncated_image);
        if (!wanted.faults.none())
            return wanted;
        const std::uint32_t a[] = {word(*found + 12), word(*found + 16), word(*found + 20), word(*found + 24)};
        wanted.by_addresses(file, *found, a, word(*found + 28));
        return wanted;
    }
};

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    return fuzz_flat<oracle>({data, size}, [](const long_file& file) { return load_multiboot(file); });
}
