// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// Command lines on all their ways: into a Linux kernel, into a multiboot structure and out of it, and through the paged
// entry. What comes out is what went in, or there is a fault and nothing was written. Input: sizes, then texts.

#include <cstring>

#include <lobos/x86/linux32_entry.hpp>
#include <lobos/x86/paged_entry.hpp>

#include <tests/fuzz/files.hpp>
#include <tests/fuzz/naive_map.hpp>
#include <tests/support/scratch_page.hpp>

using namespace lobos;
using namespace lobos::fuzz;

namespace {

constexpr std::uint64_t end_of_32_bits = 0x1'0000'0000;

/// Pages that parameters may be written to, and no other byte of memory.
class parameter_pages {
public:
    explicit parameter_pages(std::span<const phys_addr> at) : at_{at}, content_(at.size() * 4096, std::byte{0xcc}) {}

    void read(phys_addr at, std::span<std::byte> out) { std::memcpy(out.data(), place(at, out.size()), out.size()); }
    void write(phys_addr at, std::span<const std::byte> in)
    {
        if (!in.empty())
            std::memcpy(place(at, in.size()), in.data(), in.size());
    }
    bool untouched() const
    {
        return std::ranges::all_of(content_, [](std::byte b) { return b == std::byte{0xcc}; });
    }
    std::byte* place(phys_addr at, std::size_t size)
    {
        for (std::size_t i = 0; i < at_.size(); ++i)
            if (at >= at_[i] && (at - at_[i]).raw() < 4096 && size <= 4096 - (at - at_[i]).raw())
                return content_.data() + i * 4096 + (at - at_[i]).raw();
        violated("an access outside of the pages of parameters");
    }

private:
    std::span<const phys_addr> at_;
    bytes content_;
};

/// Memory that has `content` at `at`; nobody may read on behind it but up to 4 GiB, where zeros never come.
class strings_memory {
public:
    strings_memory(std::uint64_t at, std::span<const std::byte> content) : at_{at}, content_{content} {}
    void read(phys_addr at, std::span<std::byte> out)
    {
        for (std::size_t i = 0; i < out.size(); ++i) {
            const std::uint64_t here = at.raw() + i;
            must(here < end_of_32_bits, "a read past 4 GiB");
            out[i] = here >= at_ && here - at_ < content_.size() ? content_[static_cast<std::size_t>(here - at_)]
                                                                 : std::byte{'#'};
        }
    }
    void write(phys_addr, std::span<const std::byte>) { violated("a reader writes"); }

private:
    std::uint64_t at_;
    std::span<const std::byte> content_;
};

bool has_nul(std::string_view s)
{
    return s.find('\0') != s.npos;
}

struct small_map {
    small_map()
    {
        must(map.add(phys_range::of(phys_addr{}, byte_count::of(64 << 20)), region_kind::usable).has_value(), "room");
    }
    region storage[4];
    region_map map{storage};
};

void to_linux(std::string_view line, std::uint32_t limit, std::span<const phys_addr> pages)
{
    bytes header(0x264 - 0x1f1);
    const auto put = [&](std::size_t at, std::uint64_t value, std::size_t width) {
        std::memcpy(header.data() + (at - 0x1f1), &value, width);
    };
    put(0x1f1, 1, 1), put(0x1f4, 1, 4), put(0x1fe, 0xaa55, 2), put(0x201, 0x62, 1), put(0x202, 0x53726448, 4);
    put(0x206, 0x20f, 2), put(0x211, 1, 1), put(0x238, limit, 4), put(0x258, 0x20'0000, 8), put(0x260, 0x1000, 4);
    const long_file kernel{0x1f1, header, 1040, {}};
    const small_map memory;
    const auto image = load_bzimage(kernel, {.command_line = line}, memory.map);
    expected_faults faults;
    faults.add_if(line.size() > limit || line.size() > 4095 || has_nul(line), fault_code::command_line_too_long);
    faults.check(image, stage::loading);
    if (!image) {
        must(image.error().at == line.size(), "another length");
        return;
    }
    must(image->command_line.data() == line.data() && image->command_line.size() == line.size(), "another line");
    parameter_pages parameters{pages};
    const auto written =
        x86::linux32_entry{*image}.write_parameters(parameters, memory.map, pages, test::scratch_page());
    const bool reachable = pages[0].raw() <= end_of_32_bits - 4096 && pages[1].raw() + line.size() < end_of_32_bits;
    must(written.has_value() == reachable, "parameters that esi cannot name, or the other way round");
    if (!written) {
        must(parameters.untouched(), "refused, and written all the same");
        return;
    }
    const auto pointer = load<std::uint32_t>(parameters, pages[0] + byte_count::of(0x228));
    must(pointer == pages[1].raw(), "cmd_line_ptr points elsewhere");
    const std::byte* there = parameters.place(pages[1], 4096);
    must(text_of({there, line.size()}) == line && there[line.size()] == std::byte{}, "another line arrived");
    must(std::all_of(there + line.size() + 1, there + 4096, [](std::byte b) { return b == std::byte{0xcc}; }),
        "something was written behind the line");
}

void read_string(
    const multiboot_reader<strings_memory>& reader, phys_addr at, std::string_view wanted, std::size_t room)
{
    bytes out(room);
    const auto text = reader.string(at, {reinterpret_cast<char*>(out.data()), out.size()});
    must(text.has_value() == (room > wanted.size()), "a string that does not fit, or the other way round");
    must(text ? *text == wanted : text.error() == fault{fault_code::command_line_too_long, stage::loading, room},
        "another string");
}

void through_multiboot(std::string_view line, std::span<const multiboot_module> modules, std::uint64_t at,
    std::size_t room, std::size_t out)
{
    const small_map memory;
    bytes block(room, std::byte{0xcc});
    const auto made = make_multiboot_info(memory.map, modules, line, phys_addr::at(at), block);
    expected_faults faults;
    wide needed = 116 + 24 + line.size() + 1;
    faults.add_if(has_nul(line), fault_code::command_line_too_long);
    for (const multiboot_module& m : modules) {
        needed += 16 + m.string.size() + 1;
        faults.add_if(has_nul(m.string), fault_code::command_line_too_long);
        faults.add_if(m.range.last().raw() >= end_of_32_bits - 1, fault_code::bad_range);
    }
    faults.add_if(needed > room, fault_code::no_space);
    faults.add_if(at + needed > end_of_32_bits, fault_code::bad_range);
    faults.check(made, stage::staging);
    if (!made) {
        must(std::ranges::all_of(block, [](std::byte b) { return b == std::byte{0xcc}; }), "refused, and written");
        return;
    }
    must(*made == needed, "another size");
    must(std::all_of(block.begin() + static_cast<std::ptrdiff_t>(*made), block.end(),
             [](std::byte b) { return b == std::byte{0xcc}; }),
        "written past its size");
    strings_memory read{at, block};
    const multiboot_reader reader{read, phys_addr::at(at)};
    must(reader.module_count() == modules.size() && reader.command_line().has_value(), "modules or line are lost");
    read_string(reader, *reader.command_line(), line, out);
    for (std::uint32_t i = 0; i < modules.size(); ++i) {
        const auto found = reader.module(i);
        must(found && found->start == modules[i].range.first() && found->size == modules[i].range.size(),
            "another module");
        read_string(reader, found->string, modules[i].string, out);
    }
}

// Strings in memory that may say anything, up to its end.
void from_memory(std::span<const std::byte> content, std::uint64_t at, std::size_t room)
{
    strings_memory memory{at, content};
    const multiboot_reader reader{memory, phys_addr::at(at)};
    const auto module_count = reader.module_count();
    for (const std::uint32_t i : {0u, module_count / 2, module_count - (module_count != 0)})
        if (i < module_count)
            if (const auto m = reader.module(i))
                must(m->start.raw() + m->size.raw() < end_of_32_bits, "a module that ends past 4 GiB");
    bytes out(room);
    const auto text = reader.string(phys_addr::at(at), {reinterpret_cast<char*>(out.data()), out.size()});
    const auto end = std::find(content.begin(), content.end(), std::byte{});
    const auto length = static_cast<std::size_t>(end - content.begin());
    const bool ends = end != content.end() && length < room && at + length < end_of_32_bits;
    must(text.has_value() == ends, "a string without an end, or the other way round");
    must(!text || *text == text_of(content.first(length)), "another string");
}

void through_paged_entry(std::string_view line, std::span<const multiboot_module> modules,
    std::span<const phys_addr> pages, std::size_t segments)
{
    elf_image image;
    for (std::size_t i = 0; i < segments; ++i)
        must(image.segments.push_back({.destination = phys_range::of(phys_addr::at(i << 12), byte_count::of(1))}),
            "room");
    const auto contract = x86::paged_entry::make(image, modules, line);
    bool twice = false; // one file cannot be kept as two
    for (std::size_t i = 0; i < modules.size(); ++i)
        for (std::size_t j = 0; j < i; ++j)
            twice |= modules[i].range == modules[j].range;
    must(contract.has_value() == (!twice && segments + modules.size() <= max_segments),
        "modules that have no room, or the other way round");
    if (!contract)
        return;
    must(contract->segments().size() == segments + modules.size(), "another number of segments");
    const small_map memory;
    parameter_pages parameters{pages};
    const auto written = contract->write_parameters(parameters, memory.map, pages, test::scratch_page());
    if (!written) {
        must(parameters.untouched(), "refused, and written all the same");
        return;
    }
    const std::uint64_t at = contract->registers(pages).bx;
    must(at == pages[0].raw(), "ebx does not name the page");
    strings_memory read{at, {parameters.place(pages[0], 4096), 4096}};
    const multiboot_reader reader{read, phys_addr::at(at)};
    must(!has_nul(line) && reader.command_line().has_value(), "the line is lost");
    read_string(reader, *reader.command_line(), line, 5000);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    input in{data, size};
    const std::uint8_t shape = in.byte();
    const auto limit = static_cast<std::uint32_t>(in.number(2));
    const std::size_t room = in.number(2) % 5000, out = in.number(2) % 5000;
    const std::uint64_t at = (shape & 1) != 0 ? in.number(4) : 0x9'0000;
    const std::uint64_t page = (shape & 2) != 0 ? in.number(3) << 12 : 0x8'0000;
    const phys_addr pages[] = {phys_addr::at(page), phys_addr::at(page + ((shape & 4) != 0 ? 0x1000u : 0xff'f000u))};

    std::vector<bytes> names;
    std::vector<multiboot_module> modules;
    for (std::uint32_t i = in.below(4); i != 0; --i) {
        const phys_range range = in.range();
        names.push_back(copy_of(in.take(in.byte())));
        modules.push_back({range, text_of(names.back())});
    }
    const std::size_t repeat = in.number(2) % 5000;
    bytes line = copy_of(in.rest());
    if (at <= end_of_32_bits - sizeof(multiboot_info))
        from_memory(line, at, room);
    if ((shape & 8) != 0)
        line.insert(line.begin(), repeat, std::byte{'x'});
    line.shrink_to_fit();
    to_linux(text_of(line), limit, pages);
    through_multiboot(text_of(line), modules, at, room, out);
    through_paged_entry(text_of(line), modules, pages, std::size_t{shape} / 16 * 2 + limit % 2);
    return 0;
}
