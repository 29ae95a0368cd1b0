// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/x86/told_entry.hpp>

#include <tests/catch.hpp>
#include <tests/support/byte_memory.hpp>
#include <tests/support/elf_builder.hpp>
#include <tests/support/scratch_page.hpp>

using namespace lobos;
using namespace lobos::test;
using namespace lobos::literals;

namespace {

/// A protocol without words: what it shares with the others is open to the tests.
template <class Image> struct bare_entry : x86::told_entry<Image> {
    using base = x86::told_entry<Image>;
    using base::command_line_, base::hold, base::write_page;

    bare_entry(const Image& image, std::span<const multiboot_module> modules) : base{image, modules, "quiet"} {}
    static result<bare_entry> make(
        const Image& image, std::span<const multiboot_module> modules, byte_count alignment = 1_bytes)
    {
        return base::with_modules(bare_entry{image, modules}, alignment);
    }
};

const segment kernel{.destination = phys_range::of(0x10'0000_pa, 8_KiB)};
const multiboot_module module{phys_range::of(0x40'0800_pa, 4_KiB), "file"};

flat_image flat_kernel()
{
    flat_image image{.entry = 0x10'0010_pa, .module_alignment = 4_KiB};
    REQUIRE(image.segments.push_back(kernel));
    return image;
}

/// Notes down what it is asked.
struct asked_rules {
    fault entry = no_fault;
    mutable std::vector<byte_count> held = {};

    result<void> names_entry(std::span<const segment> image) const
    {
        CHECK(image.front().destination == kernel.destination);
        return entry == no_fault ? result<void>{} : std::unexpected{entry};
    }
    result<void> hold(byte_count alignment) const
    {
        held.push_back(alignment);
        return {};
    }
};

} // namespace

TEST_CASE("a flat image is entered at its physical address, with nothing mapped", "[x86][told_entry]")
{
    const auto contract = bare_entry<flat_image>::make(flat_kernel(), {});
    REQUIRE(contract);
    CHECK(contract->segments().size() == 1);
    CHECK(contract->entry() == 0x10'0010_va);
    CHECK(contract->virtual_layout().empty());
    CHECK(contract->parameter_pages() == 1);
    CHECK(contract->command_line_ == "quiet");
}

TEST_CASE("a paged image is entered at its virtual address, and mapped", "[x86][told_entry]")
{
    paged_image image{.segments = {}, .mappings = {}, .entry = 0xffff'8000'0010'0010_va};
    REQUIRE(image.segments.push_back(kernel));
    REQUIRE(image.mappings.push_back({virt_range::of(0xffff'8000'0010'0000_va, 8_KiB), 0x10'0000_pa, true}));
    const auto contract = bare_entry<paged_image>::make(image, {});
    REQUIRE(contract);
    CHECK(contract->entry() == 0xffff'8000'0010'0010_va);
    REQUIRE(contract->virtual_layout().size() == 1);
    CHECK(contract->virtual_layout()[0].physical == 0x10'0000_pa);
}

TEST_CASE("modules become segments of the contract, if they are aligned", "[x86][told_entry]")
{
    const auto contract = bare_entry<flat_image>::make(flat_kernel(), {&module, 1}, 2_KiB);
    REQUIRE(contract);
    REQUIRE(contract->segments().size() == 2);
    CHECK(contract->segments()[1].destination == module.range);
    CHECK(contract->segments()[1].what == content::kept);
    CHECK(fault_of(bare_entry<flat_image>::make(flat_kernel(), {&module, 1}, 4_KiB)) ==
        fault{fault_code::misaligned, stage::loading, 0x40'0800});
}

TEST_CASE("a page is written whole, or not at all", "[x86][told_entry]")
{
    byte_memory memory{0x1000, 0x30'0000_pa};
    const bytes old(0x1000, std::byte{0xa5});
    memory.write(0x30'0000_pa, old);
    const fault full{fault_code::no_space, stage::staging, 0x1001};
    const auto refused =
        bare_entry<flat_image>::write_page(memory, 0x30'0000_pa, scratch_page(), [&](std::span<std::byte> page) {
            page[0] = std::byte{1};
            return result<std::size_t>{std::unexpected{full}};
        });
    CHECK(fault_of(refused) == full);
    CHECK(load<std::uint8_t>(memory, 0x30'0000_pa) == 0xa5);

    REQUIRE(bare_entry<flat_image>::write_page(memory, 0x30'0000_pa, scratch_page(), [](std::span<std::byte> page) {
        page[0] = std::byte{1};
        return result<std::size_t>{1};
    }));
    CHECK(load<std::uint8_t>(memory, 0x30'0000_pa) == 1);
    CHECK(load<std::uint8_t>(memory, 0x30'0fff_pa) == 0); // what nobody filled is not what was there
}

TEST_CASE("a flat image's rules are asked for the entry, and then for the rest", "[x86][told_entry]")
{
    const auto contract = bare_entry<flat_image>::make(flat_kernel(), {});
    REQUIRE(contract);
    const asked_rules sound{};
    CHECK(fault_of(contract->hold(sound)) == no_fault);
    CHECK(sound.held == std::vector{4_KiB});
    const asked_rules elsewhere{.entry = {fault_code::entry_contract_broken, stage::verifying, 0x10'0010}};
    CHECK(fault_of(contract->hold(elsewhere)) == elsewhere.entry);
    CHECK(elsewhere.held.empty());
}
