// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/x86/multiboot2_format.hpp>

#include <tests/catch.hpp>

using namespace lobos;

TEST_CASE("the tags of multiboot 2 have the manual's numbers", "[x86][multiboot2]")
{
    using tag = multiboot2_tag;
    CHECK(multiboot2_loader_magic == 0x36d7'6289);
    const std::uint32_t numbers[] = {tag::end, tag::command_line, tag::loader_name, tag::module, tag::memory_sizes,
        tag::memory_map, tag::efi_32, tag::efi_64, tag::rsdp_old, tag::rsdp_new, tag::efi_memory_map,
        tag::efi_not_terminated};
    const std::uint32_t manual[] = {0, 1, 2, 3, 4, 6, 11, 12, 14, 15, 17, 18};
    for (std::size_t i = 0; i < sizeof manual / sizeof *manual; ++i)
        CHECK(numbers[i] == manual[i]);
}

TEST_CASE("a tag of multiboot 2 begins on a multiple of 8", "[x86][multiboot2]")
{
    for (std::uint64_t size = 8; size < 64; ++size) {
        CHECK(multiboot2_padded(size) % 8 == 0);
        CHECK((multiboot2_padded(size) >= size && multiboot2_padded(size) - size < 8));
    }
}
