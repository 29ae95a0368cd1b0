// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/alpha/linux_image.hpp>

#include <string>

#include <tests/catch.hpp>
#include <tests/support/alpha_elf.hpp>

using namespace lobos;
using namespace lobos::alpha;
using namespace lobos::test;
using enum fault_code;

namespace {

constexpr std::uint64_t kseg_at = 0xffff'fc00'0000'0000;

phys_range from_to(std::uint64_t first, std::uint64_t last)
{
    return phys_range::between(phys_addr::at(first), phys_addr::at(last));
}

/// 256 MiB, the first 120 KiB of them the console's, as in QEMU.
const memory_map machine{
    {from_to(0, 0x1'dfff), region_kind::reserved}, {from_to(0x1'e000, 0xfff'ffff), region_kind::usable}};

fault loading(fault_code code, std::uint64_t at)
{
    return {code, stage::loading, at};
}

result<linux_image> load(const alpha_elf_builder& kernel, const linux_request& wanted = {})
{
    return load_linux(scattered_file{kernel.build()}, wanted);
}
result<linux_image> load_with(std::uint64_t initrd, const linux_request& wanted = {},
    const alpha_elf_builder& kernel = alpha_kernel(), const region_map& map = machine.map)
{
    return load_linux(scattered_file{kernel.build()}, hollow_file{initrd}, wanted, map);
}

/// A kernel whose last byte is at `last`.
alpha_elf_builder kernel_up_to(std::uint64_t last)
{
    auto kernel = alpha_kernel();
    kernel.parts[2].p_memsz = kseg_at + last - kernel.parts[2].p_paddr + 1;
    return kernel;
}

/// A kernel of `parts` parts in the file, which are as many segments.
alpha_elf_builder kernel_of(std::size_t parts)
{
    alpha_elf_builder kernel = alpha_kernel();
    const auto first = kernel.parts[0];
    kernel.parts.assign(parts, first);
    for (std::size_t i = 0; i < parts; ++i)
        kernel.parts[i].p_vaddr = kernel.parts[i].p_paddr = first.p_paddr + 0x1000 * i;
    kernel.size = sizeof(Elf64_Ehdr) + parts * sizeof(Elf64_Phdr) + 0x400;
    return kernel;
}

} // namespace

TEST_CASE("a vmlinux for Alpha and the memory on its sides", "[alpha][linux_image]")
{
    const auto image = load(alpha_kernel(), {.command_line = "console=ttyS0"});
    REQUIRE(image);
    const struct {
        phys_range where;
        content what;
    } wanted[] = {
        {from_to(0x101'0000, 0x101'0122), content::copy}, {from_to(0x101'2000, 0x101'2044), content::copy},
        {from_to(0x101'2045, 0x101'4044), content::zero},
        {from_to(0x100'0000, 0x100'9fff), content::scratch}, // up to the page of parameters
        {from_to(0x100'c000, 0x100'ffff), content::scratch},
        {from_to(0x101'4045, 0x101'9fff), content::scratch}, // to the end of that page, and two
    };
    REQUIRE(image->segments.size() == std::size(wanted));
    for (std::size_t i = 0; i < std::size(wanted); ++i) {
        CAPTURE(i);
        CHECK(image->segments[i].destination == wanted[i].where);
        CHECK(image->segments[i].what == wanted[i].what);
        CHECK(image->segments[i].role == segment_role::kernel);
    }
    CHECK(image->kernel == from_to(0x100'0000, 0x101'9fff));
    CHECK(image->parameters == 0x100'a000_pa);
    CHECK(image->entry == virt_addr::at(kseg_at + 0x101'0000));
    CHECK(image->command_line == "console=ttyS0");
    CHECK_FALSE(image->initrd);
    REQUIRE(image->layout.size() == 2);
    CHECK(image->layout[1].physical_range() == from_to(0x101'2000, 0x101'4044));
}

TEST_CASE("what a Linux takes behind its end begins with a page of its own", "[alpha][linux_image]")
{
    const auto behind = [](std::uint64_t last) {
        const auto image = load(kernel_up_to(last));
        REQUIRE(image);
        return image->segments[image->segments.size() - 1].destination;
    };
    CHECK(behind(0x101'5fff) == from_to(0x101'6000, 0x101'9fff));
    CHECK(behind(0x101'6000) == from_to(0x101'6001, 0x101'bfff));
    CHECK(behind(0x101'5ffe) == from_to(0x101'5fff, 0x101'9fff));
}

TEST_CASE("it begins with its entry, in kseg", "[alpha][linux_image]")
{
    auto late = alpha_kernel();
    late.entry += 4;
    CHECK(fault_of(load(late)) == loading(unsupported, kseg_at + 0x101'0004));
    auto mapped = alpha_kernel(); // linked elsewhere than in kseg
    mapped.entry = mapped.parts[0].p_vaddr = 0xffff'fe00'0101'0000;
    CHECK(fault_of(load(mapped)) == loading(unsupported, 0xffff'fe00'0101'0000));
    auto behind = alpha_kernel(); // a part below the entry's
    behind.parts[2].p_vaddr = behind.parts[2].p_paddr = kseg_at + 0x100'0000;
    CHECK(fault_of(load(behind)) == loading(unsupported, kseg_at + 0x101'0000));
    auto physical = alpha_kernel();
    for (auto& part : physical.parts)
        part.p_paddr -= kseg_at;
    CHECK(load(physical));
    auto reversed = alpha_kernel(); // whose first part is the last one of the file
    std::swap(reversed.parts[0], reversed.parts[2]);
    CHECK(load(reversed)->kernel == from_to(0x100'0000, 0x101'9fff));
}

TEST_CASE("there is room on both sides of a Linux", "[alpha][linux_image]")
{
    const auto started_at = [](std::uint64_t start) { return fault_of(load(alpha_kernel(kseg_at + start))); };
    CHECK(started_at(0x1'0000) == no_fault);
    CHECK(started_at(0) == loading(bad_range, 0));
    CHECK(started_at(0x101'2000) == loading(misaligned, 0x101'2000));
    CHECK(started_at(0x101'8000) == loading(misaligned, 0x101'8000));
    // kseg's memory ends at 2^40: two pages behind the last byte's.
    CHECK(fault_of(load(kernel_up_to(0xff'ffff'bfff))) == no_fault);
    CHECK(fault_of(load(kernel_up_to(0xff'ffff'c000))) == loading(bad_range, 0xff'ffff'c000));
    CHECK(fault_of(load(kernel_up_to(0xff'ffff'ffff))) == loading(bad_range, 0xff'ffff'ffff));
    auto last = alpha_kernel(); // all of physical memory, as the file says it
    last.parts[2].p_vaddr = 0;
    last.parts[2].p_paddr = ~0ull - 0x2044;
    CHECK(fault_of(load(last)) == loading(bad_range, ~0ull));
    last.parts[2].p_paddr = ~0ull - 0x2045;
    CHECK(fault_of(load(last)) == loading(bad_range, ~0ull - 1));
}

TEST_CASE("a command line for an Alpha is whole or refused by its loader", "[alpha][linux_image]")
{
    const std::string longest(255, 'x'), longer(256, 'x');
    CHECK(load(alpha_kernel(), {.command_line = longest}));
    CHECK(fault_of(load(alpha_kernel(), {.command_line = longer})) == loading(command_line_too_long, 256));
    CHECK(fault_of(load(alpha_kernel(), {.command_line = {"a\0b", 3}})) == loading(command_line_too_long, 3));
    CHECK(fault_of(load_with(1, {.command_line = longer})) == loading(command_line_too_long, 256));
}

TEST_CASE("what is no kernel for an Alpha is no Linux for one", "[alpha][linux_image]")
{
    auto other = alpha_kernel();
    other.machine = EM_X86_64;
    CHECK(fault_of(load(other)) == loading(unsupported, offsetof(Elf64_Ehdr, e_machine)));
    CHECK(fault_of(load_with(1, {}, other)) == loading(unsupported, offsetof(Elf64_Ehdr, e_machine)));
}

TEST_CASE("a Linux for Alpha has no more parts than there is room for", "[alpha][linux_image]")
{
    CHECK(load(kernel_of(29))->segments.size() == 32);
    CHECK(fault_of(load(kernel_of(30))) == loading(no_space, 33));
    CHECK(load_with(1, {}, kernel_of(28))->segments.size() == 32);
    CHECK(fault_of(load_with(1, {}, kernel_of(29))) == loading(no_space, 33));
}

TEST_CASE("an initrd lies as high as it can in usable memory", "[alpha][linux_image]")
{
    const auto image = load_with(5000);
    REQUIRE(image);
    CHECK(image->initrd == from_to(0xfff'e000, 0xfff'f387));
    const segment& last = image->segments[image->segments.size() - 1];
    CHECK(last.destination == from_to(0xfff'e000, 0xfff'f387));
    CHECK(last.role == segment_role::initrd);
    CHECK(last.what == content::copy);
    const phys_range taken[] = {from_to(0xfff'f000, 0xfff'f000), from_to(0xfff'c001, 0xfff'c001)};
    CHECK(load_with(5000, {.taken = taken})->initrd == from_to(0xfff'a000, 0xfff'b387));
    CHECK(load_with(5000, {.within = from_to(0, 0x200'0000)})->initrd == from_to(0x1ff'e000, 0x1ff'f387));
}

TEST_CASE("an initrd keeps off the kernel and its sides", "[alpha][linux_image]")
{
    CHECK(load_with(0x2000, {.within = from_to(0, 0x101'bfff)})->initrd == from_to(0x101'a000, 0x101'bfff));
    CHECK(load_with(0x2000, {.within = from_to(0, 0x101'bffe)})->initrd == from_to(0xff'e000, 0xff'ffff));
    const phys_range low = from_to(0x1'e000, 0xff'ffff);
    CHECK(load_with(low.size().raw(), {.within = from_to(0, 0x101'bffe)})->initrd == low);
    CHECK(fault_of(load_with(low.size().raw() + 1, {.within = from_to(0, 0x101'bffe)})) ==
        loading(no_room, low.size().raw() + 1));
}

TEST_CASE("an initrd that has no bytes or no room is refused", "[alpha][linux_image]")
{
    CHECK(fault_of(load_with(0)) == loading(empty_image, 0));
    CHECK(fault_of(load_with(0x1000'0000)) == loading(no_room, 0x1000'0000));
    CHECK(fault_of(load_with(~0ull)) == loading(no_room, ~0ull));
    // Memory that kseg does not reach is none for it.
    const memory_map high{{from_to(0x100'0000'0000, 0x100'0fff'ffff), region_kind::usable}};
    CHECK(fault_of(load_with(1, {}, alpha_kernel(), high.map)) == loading(no_room, 1));
    const phys_range beyond = from_to(0x100'0000'0000, ~0ull);
    CHECK(fault_of(load_with(1, {.within = beyond}, alpha_kernel(), high.map)) == loading(no_room, 1));
    const memory_map across{{from_to(0xff'ffff'e000, 0x100'0000'1fff), region_kind::usable}};
    CHECK(load_with(0x2000, {.within = from_to(0, ~0ull)}, alpha_kernel(), across.map)->initrd ==
        from_to(0xff'ffff'e000, 0xff'ffff'ffff));
    CHECK(fault_of(load_with(0x2001, {.within = from_to(0, ~0ull)}, alpha_kernel(), across.map)) ==
        loading(no_room, 0x2001));
}

TEST_CASE("what an initrd is to keep off is a list of few", "[alpha][linux_image]")
{
    std::vector<phys_range> taken(64, from_to(0xfff'e000, 0xfff'ffff));
    CHECK(load_with(1, {.taken = taken})->initrd == from_to(0xfff'c000, 0xfff'c000));
    taken.push_back(taken[0]);
    CHECK(fault_of(load_with(1, {.taken = taken})) == loading(no_space, 65));
}
