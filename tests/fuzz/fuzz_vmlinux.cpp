// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// load_vmlinux of both classes with any file, size, memory map and request: the ELF file gives what fuzz_elf32 and
// fuzz_elf64 are for, with a physical entry; beside that every byte of the kernel's memory is claimed once, all of it
// is free, and the initrd lies at the best place there is. Input: the request, the map, then the file.

#include <string>

#include <lobos/image/vmlinux.hpp>

#include <tests/fuzz/files.hpp>
#include <tests/fuzz/naive_map.hpp>

using namespace lobos;
using namespace lobos::fuzz;

namespace {

constexpr std::uint64_t one_mib = 0x10'0000, last_of_4g = 0xffff'ffff, last_of_2g = 0x7fff'ffff;

struct oracle {
    const elf_image& elf;
    const long_file* initrd;
    const linux_request& request;
    const naive_map& map;
    bool is_64;
    expected_faults faults = {};
    piece kernel = {};
    std::uint64_t initrd_at = 0;

    void read()
    {
        faults.add_if(
            request.entry != (is_64 ? linux_entry::long_64 : linux_entry::protected_32), fault_code::unsupported);
        const std::string_view line = request.command_line;
        faults.add_if(line.size() > 2047 || line.find('\0') != line.npos, fault_code::command_line_too_long);
        faults.add_if(initrd && initrd->size().raw() == 0, fault_code::empty_image);
        kernel = {naive_map::top, 0};
        for (const segment& s : elf.segments) {
            kernel.first = std::min(kernel.first, s.destination.first().raw() / 4096 * 4096);
            kernel.last = std::max(kernel.last, s.destination.last().raw() | std::uint64_t{0xfff});
        }
        const piece reach{std::max<std::uint64_t>(request.within.first().raw(), one_mib),
            std::min<std::uint64_t>(request.within.last().raw(), last_of_4g)};
        std::vector<piece> taken;
        for (const phys_range& t : request.taken)
            taken.push_back(plain(t));
        const bool free = reach.holds(kernel) &&
            std::ranges::any_of(map.usable(), [&](piece u) { return u.holds(kernel); }) &&
            std::ranges::none_of(taken, [&](piece t) { return t.meets(kernel); });
        faults.add_if(!free, fault_code::no_room);
        faults.add_if(elf.segments.size() + gaps() + (initrd ? 1 : 0) > max_segments, fault_code::no_space);
        if (!free || !initrd || initrd->size().raw() == 0)
            return;
        const std::uint64_t low = reach.first, high = std::min<std::uint64_t>(last_of_2g, request.within.last().raw());
        const wide pages = (wide{initrd->size().raw()} + 4095) / 4096 * 4096;
        std::optional<std::uint64_t> found;
        if (std::max(kernel.last + 1, low) <= high)
            found = map.hole(false, pages, 4096, {std::max(kernel.last + 1, low), high}, taken);
        if (!found && low <= std::min(kernel.first - 1, high))
            found = map.hole(false, pages, 4096, {low, std::min(kernel.first - 1, high)}, taken);
        faults.add_if(!found, fault_code::no_room);
        initrd_at = found.value_or(0);
    }

    /// Pieces of the kernel's memory that the file says nothing of.
    std::size_t gaps() const
    {
        std::vector<piece> known;
        for (const segment& s : elf.segments)
            if (s.what != content::padding)
                known.push_back(plain(s.destination));
        std::ranges::sort(known, {}, &piece::first);
        std::size_t n = 0;
        wide next = kernel.first;
        for (const piece& p : known) {
            n += p.first > next ? 1 : 0;
            next = wide{p.last} + 1;
        }
        return n + (next <= kernel.last ? 1 : 0);
    }
};

void check_image(const oracle& o, const linux_image& image, const long_file& file)
{
    must(plain(image.kernel).first == o.kernel.first && plain(image.kernel).last == o.kernel.last,
        "another place of the kernel");
    must(image.entry == (o.is_64 ? no_entry : phys_addr::at(o.elf.entry.raw())), "another 32-bit entry");
    must(image.entry_64 == (o.is_64 ? std::optional{phys_addr::at(o.elf.entry.raw())} : std::nullopt),
        "another 64-bit entry");
    must(!image.above_4g && image.command_line == o.request.command_line, "another request");
    must(image.initrd.has_value() == (o.initrd != nullptr), "an initrd that nobody gave, or none");
    must(!image.initrd || *image.initrd == phys_range::of(phys_addr::at(o.initrd_at), o.initrd->size()),
        "the initrd is not where it should be");
    wide claimed = 0;
    std::vector<piece> kernels;
    std::size_t i = 0;
    for (const segment& s : image.segments) {
        if (i < o.elf.segments.size()) {
            const segment& wanted = o.elf.segments[i++];
            must(s.destination == wanted.destination && s.what == wanted.what && s.file_offset == wanted.file_offset,
                "another segment than the ELF file's");
            must(s.what != content::copy || s.file.data() == file.extents().data(), "a segment of another file");
        } else
            must(s.what == content::scratch || s.role == segment_role::initrd, "a segment from nowhere");
        if (s.role != segment_role::kernel || s.what == content::padding)
            continue;
        const piece here = plain(s.destination);
        must(o.kernel.holds(here), "a segment outside the kernel's memory");
        must(std::ranges::none_of(kernels, [&](piece k) { return k.meets(here); }), "a byte that is claimed twice");
        kernels.push_back(here);
        claimed += wide{here.last} - here.first + 1;
    }
    must(claimed == wide{o.kernel.last} - o.kernel.first + 1, "a byte that nobody claims");
}

template <class Class>
void check(const long_file& file, const long_file& other, const long_file* initrd, const linux_request& request,
    const region_map& map, const naive_map& known)
{
    constexpr bool is_64 = Class::ei_class == 2;
    const auto elf = load_elf<Class>(file, is_64 ? 62 : 3, elf_entry::physical_address);
    const auto load = [&](const long_file& from) {
        return initrd ? load_vmlinux<Class>(from, *initrd, request, map) : load_vmlinux<Class>(from, request, map);
    };
    const auto image = load(file), again = load(other);
    must(image.has_value() == again.has_value() && (image || image.error() == again.error()),
        "the answer depends on what lies past the file");
    if (!elf) {
        must(!image && image.error() == elf.error(), "another fault than of the ELF file");
        return;
    }
    oracle o{*elf, initrd, request, known, is_64};
    o.read();
    o.faults.check(image, stage::loading);
    if (image)
        check_image(o, *image, file);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    input in{data, size};
    const std::uint8_t shape = in.byte();
    std::vector<region> storage(12);
    region_map map{storage};
    naive_map known;
    for (std::uint32_t i = in.below(5); i != 0; --i) {
        const auto kind = static_cast<region_kind>(in.below(7));
        const phys_range range = in.range();
        known.add(range, kind);
        if (!map.add(range, kind))
            known.forget_last();
    }
    std::vector<phys_range> taken;
    for (std::uint32_t i = in.below(3); i != 0; --i)
        taken.push_back(in.range());
    linux_request request{.taken = taken};
    if ((shape & 2) != 0)
        request.within = in.range();
    if ((shape & 4) != 0)
        request.entry = linux_entry::long_64;
    const std::string longer = std::string(in.number(2) % 2100, 'x') + std::string{text_of(in.take(in.below(4)))};
    request.command_line = longer;
    const long_file initrd{{}, (shape & 1) != 0 ? in.address() : 0, std::byte{0xa5}};
    const std::uint64_t behind = (shape & 8) != 0 ? in.address() : 0;
    const bytes beginning = copy_of(in.rest());
    const long_file file{beginning, behind, std::byte{0xa5}}, other{beginning, behind, std::byte{0xff}};
    if (takes_long(file))
        return 0;
    const long_file* with = (shape & 1) != 0 ? &initrd : nullptr;
    if ((shape & 16) != 0)
        check<elf64_class>(file, other, with, request, map, known);
    else
        check<elf32_class>(file, other, with, request, map, known);
    return 0;
}
