// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// Small bzImages in memory, valid until a test patches them: 5 setup sectors, code, a trailer as a signature would be.

#include <tests/support/byte_memory.hpp>

namespace lobos::test {

struct bzimage_builder {
    std::size_t setup_sects = 4;
    std::uint32_t code = 0x2340; ///< a multiple of 16
    std::size_t trailer = 72;
    std::uint32_t init_size = 0x10'0000;
    std::uint64_t pref_address = 0x100'0000;
    std::uint32_t kernel_alignment = 0x20'0000;
    std::uint8_t min_alignment = 13;
    bool relocatable = true;
    std::uint32_t initrd_addr_max = 0x7fff'ffff;
    std::uint32_t cmdline_size = 2047;
    std::uint16_t version = 0x20f;
    std::uint16_t xloadflags = 0; ///< 1: has a 64-bit entry, 2: goes above 4 GiB

    bytes build() const
    {
        bytes file((setup_sects + 1) * 512 + code + trailer);
        for (std::size_t i = 0; i < file.size(); ++i)
            file[i] = pattern(i);
        const struct {
            std::size_t offset, width;
            std::uint64_t value;
        } fields[] = {{0x1f1, 1, setup_sects}, {0x1f4, 4, code >> 4}, {0x1fe, 2, 0xaa55}, {0x200, 2, 0x6aeb},
            {0x202, 4, 0x53726448}, {0x206, 2, version}, {0x211, 1, 0x81}, {0x22c, 4, initrd_addr_max},
            {0x230, 4, kernel_alignment}, {0x234, 1, relocatable}, {0x235, 1, min_alignment}, {0x236, 2, xloadflags},
            {0x238, 4, cmdline_size}, {0x250, 8, 0x1122'3344}, {0x258, 8, pref_address}, {0x260, 4, init_size}};
        for (const auto& f : fields)
            patch(file, f.offset, f.width, f.value);
        return file;
    }
};

} // namespace lobos::test
