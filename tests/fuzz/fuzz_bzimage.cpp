// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// load_bzimage with any header, size, memory map and request, against a second reading: the same images are accepted,
// kernel and initrd lie at the best place there is, and the boot parameters say what the image is, as does the setup
// page of the real-mode entry. Input: the request, the map, then the setup header of the file; the other bytes of the
// file do not matter.

#include <cstring>
#include <string>

#include <lobos/x86/boot_params.hpp>
#include <lobos/x86/linux16_image.hpp>

#include <tests/fuzz/files.hpp>
#include <tests/fuzz/naive_map.hpp>

using namespace lobos;
using namespace lobos::fuzz;

namespace {

constexpr std::uint64_t one_mib = 0x10'0000, last_of_4g = 0xffff'ffff;

// A setup header by the names of the manual, read once more.
struct linux_header {
    std::uint8_t setup_sects, jump, loadflags, relocatable, min_alignment;
    std::uint16_t boot_flag, version, xloadflags;
    std::uint32_t syssize, magic, initrd_addr_max, kernel_alignment, cmdline_size, init_size;
    std::uint64_t pref_address;

    explicit linux_header(const long_file& f)
    {
        const auto get = [&](std::uint64_t at, auto& field) {
            field = f.has(at, sizeof field) ? f.peek<std::remove_reference_t<decltype(field)>>(at) : 0;
        };
        get(0x1f1, setup_sects), get(0x1f4, syssize), get(0x1fe, boot_flag), get(0x201, jump), get(0x202, magic);
        get(0x206, version), get(0x211, loadflags), get(0x22c, initrd_addr_max), get(0x230, kernel_alignment);
        get(0x234, relocatable), get(0x235, min_alignment), get(0x236, xloadflags), get(0x238, cmdline_size),
            get(0x258, pref_address);
        get(0x260, init_size);
    }
    bool flagged(unsigned flag) const { return version >= 0x20c && (xloadflags & flag) != 0; }
    wide setup_size() const { return (setup_sects == 0 ? wide{5} : wide{setup_sects} + 1) * 512; }
};

struct oracle {
    const long_file& file;
    const long_file* initrd;
    const linux_request& request;
    const naive_map& map;
    linux_header h{file};
    expected_faults faults = {};
    std::uint64_t kernel_at = 0, initrd_at = 0, alignment = h.kernel_alignment;

    bool has_entry_64() const { return h.flagged(1) && file.size().raw() > h.setup_size() + 0x200; }
    bool above_4g() const { return has_entry_64() && h.flagged(2); }
    bool goes_high() const { return request.entry == linux_entry::long_64 && above_4g(); }

    void read()
    {
        if (h.boot_flag != 0xaa55 || h.magic != 0x53726448)
            return faults.add(fault_code::unknown_format);
        faults.add_if(!file.has(0, 0x202 + wide{h.jump}) || !file.has(0, 0x208), fault_code::truncated_image);
        faults.add_if(h.version < 0x20a || (h.loadflags & 1) == 0, fault_code::unsupported);
        faults.add_if(h.jump < 0x62 || h.jump > 0x7f, fault_code::bad_header);
        faults.add_if(h.syssize == 0, fault_code::empty_image);
        const wide code_end = h.setup_size() + wide{h.syssize} * 16;
        faults.add_if(!file.has(0, code_end), fault_code::truncated_image);
        faults.add_if(h.setup_size() + h.init_size < file.size().raw(), fault_code::bad_header);
        const bool power = std::has_single_bit(h.kernel_alignment);
        if (h.relocatable != 0)
            faults.add_if(!power || h.kernel_alignment < 4096 || h.min_alignment > 31 ||
                    (wide{1} << h.min_alignment) > h.kernel_alignment,
                fault_code::bad_header);
        const std::string_view line = request.command_line;
        faults.add_if(line.size() > h.cmdline_size || line.size() > 4095 || line.find('\0') != line.npos,
            fault_code::command_line_too_long);
        faults.add_if(initrd && initrd->size().raw() == 0, fault_code::empty_image);
        faults.add_if(request.entry == linux_entry::long_64 && !has_entry_64(), fault_code::unsupported);
        if (faults.none())
            place();
    }

    void place()
    {
        std::vector<piece> taken;
        for (const phys_range& t : request.taken)
            taken.push_back(plain(t));
        const piece within = plain(request.within);
        const piece reach{std::max({within.first, h.pref_address, one_mib}),
            std::min(within.last, goes_high() ? naive_map::top : last_of_4g)};
        std::optional<std::uint64_t> found;
        const auto try_one = [&](wide a) {
            if (!found && reach.first <= reach.last)
                found = map.hole(true, h.init_size, a, reach, taken);
            if (found && alignment > a)
                alignment = static_cast<std::uint64_t>(a);
        };
        if (h.relocatable == 0) {
            try_one(1);
            alignment = h.kernel_alignment;
            if (found != h.pref_address)
                found.reset();
        } else {
            const wide least =
                h.min_alignment == 0 ? wide{h.kernel_alignment} : std::max(wide{1} << h.min_alignment, wide{4096});
            for (wide a = h.kernel_alignment; a >= least && !found; a /= 2)
                try_one(a);
        }
        if (!found)
            return faults.add(fault_code::no_room);
        kernel_at = *found;
        if (!initrd)
            return;
        const std::uint64_t kernel_last = kernel_at + h.init_size - 1;
        const std::uint64_t last =
            std::min<std::uint64_t>(goes_high() ? naive_map::top : h.initrd_addr_max, within.last);
        const wide pages = (wide{initrd->size().raw()} + 4095) / 4096 * 4096;
        const std::uint64_t low = std::max(within.first, one_mib);
        std::optional<std::uint64_t> high;
        if (kernel_last < last)
            if (const auto from = std::max(kernel_last + 1, low); from <= last)
                high = map.hole(false, pages, 4096, {from, last}, taken);
        if (const auto to = std::min(last, kernel_at - 1); !high && low <= to)
            high = map.hole(false, pages, 4096, {low, to}, taken);
        if (!high)
            return faults.add(fault_code::no_room);
        initrd_at = *high;
    }
};

void check_image(const oracle& o, const linux_image& image)
{
    const auto kernel = phys_range::of(phys_addr::at(o.kernel_at), byte_count::of(o.h.init_size));
    must(image.kernel == kernel, "the kernel is not where it should be");
    must(image.entry.raw() == (kernel.last().raw() <= last_of_4g ? o.kernel_at : naive_map::top), "another entry");
    must(image.entry_64.has_value() == o.has_entry_64() && image.above_4g == o.above_4g(), "xloadflags misread");
    must(!image.entry_64 || image.entry_64->raw() == o.kernel_at + 0x200, "another 64-bit entry");
    must(image.initrd.has_value() == (o.initrd != nullptr), "an initrd that nobody gave, or none");
    must(!image.initrd || *image.initrd == phys_range::of(phys_addr::at(o.initrd_at), o.initrd->size()),
        "the initrd is not where it should be");
    must(image.command_line == o.request.command_line && image.version == o.h.version, "command line or version");
    must(image.header_size == 0x202 + o.h.jump - 0x1f1, "another header size");
    for (std::size_t i = 0; i < image.header.size(); ++i) {
        std::byte wanted{};
        if (i < image.header_size)
            wanted = o.file.peek<std::byte>(0x1f1 + i);
        if (i >= 0x230 - 0x1f1 && i < 0x234 - 0x1f1)
            wanted = static_cast<std::byte>(o.alignment >> 8 * (i - (0x230 - 0x1f1)) & 0xff);
        must(image.header[i] == wanted, "the header is not the file's");
    }
    const std::uint64_t setup = static_cast<std::uint64_t>(o.h.setup_size());
    const std::uint64_t code = o.file.size().raw() - setup;
    std::size_t n = 0;
    const auto next = [&](std::uint64_t at, std::uint64_t size, content what, segment_role role, std::uint64_t from) {
        if (size == 0)
            return;
        must(n < image.segments.size(), "a segment is missing");
        const segment& s = image.segments[n++];
        must(s.destination == phys_range::of(phys_addr::at(at), byte_count::of(size)) && s.what == what &&
                s.role == role && s.file_offset.raw() == from,
            "another segment");
        const long_file* file = role == segment_role::initrd ? o.initrd : &o.file;
        must(what != content::copy || s.file.data() == file->extents().data(), "a segment of another file");
    };
    next(o.kernel_at, code, content::copy, segment_role::kernel, setup);
    next(o.kernel_at + code, o.h.init_size - code, content::scratch, segment_role::kernel, 0);
    if (o.initrd)
        next(o.initrd_at, o.initrd->size().raw(), content::copy, segment_role::initrd, 0);
    must(n == image.segments.size(), "one segment too many");
}

// The page says what the image is, and nothing else.
void check_boot_params(
    const linux_image& image, const region_map& map, std::uint64_t line_at, std::optional<phys_addr> rsdp)
{
    std::array<std::byte, 4096> page;
    page.fill(std::byte{0xcc});
    const auto made = make_boot_params(image, map, {phys_addr::at(line_at), rsdp}, page);
    expected_faults faults;
    faults.add_if(map.regions().size() > 128, fault_code::too_many_regions);
    const auto in_reach = [&](wide last) { return last <= (image.above_4g ? naive_map::top : last_of_4g); };
    faults.add_if(!in_reach(wide{line_at} + image.command_line.size()), fault_code::bad_range);
    must(!image.initrd || in_reach(image.initrd->last().raw()), "an initrd where the kernel cannot have it");
    for (const region& r : map.regions())
        faults.add_if(r.range.first().raw() == 0 && r.range.last().raw() == naive_map::top, fault_code::bad_range);
    faults.check(made, stage::staging);
    if (!made)
        return;
    std::array<std::byte, 4096> wanted{};
    const auto put = [&](std::size_t at, std::uint64_t value, std::size_t width) {
        std::memcpy(wanted.data() + at, &value, width);
    };
    std::copy_n(image.header.begin(), image.header_size, wanted.begin() + 0x1f1);
    put(0x210, 0xff, 1), put(0x226, 0, 2), put(0x250, 0, 8), put(0xc8, line_at >> 32, 4);
    put(0x214, image.kernel.last().raw() <= last_of_4g ? image.kernel.first().raw() : 0, 4);
    put(0xc0, image.initrd ? image.initrd->first().raw() >> 32 : 0, 4);
    put(0xc4, image.initrd ? image.initrd->size().raw() >> 32 : 0, 4);
    put(0x218, image.initrd ? image.initrd->first().raw() : 0, 4), put(0x228, line_at, 4);
    put(0x21c, image.initrd ? image.initrd->size().raw() : 0, 4), put(0x70, rsdp ? rsdp->raw() : 0, 8);
    put(0x1e8, map.regions().size(), 1);
    constexpr std::uint32_t types[] = {1, 3, 4, 2, 5, 2, 2};
    std::size_t entry = 0x2d0;
    for (const region& r : map.regions()) {
        put(entry, r.range.first().raw(), 8);
        put(entry + 8, r.range.size().raw(), 8);
        put(entry + 16, types[static_cast<std::size_t>(r.kind)], 4);
        entry += 20;
    }
    must(page == wanted, "the boot parameters are not the image's");
}

// The same by the real-mode entry: kernel and initrd lie where they did, and the real-mode part at the best place.
void check_linux16(const oracle& o, const region_map& map, const result<linux_image>& image)
{
    const auto found =
        o.initrd ? load_linux16(o.file, *o.initrd, o.request, map) : load_linux16(o.file, o.request, map);
    if (!image) {
        must(!found && found.error() == image.error(), "another fault than without the real-mode part");
        return;
    }
    std::vector<piece> taken;
    for (const phys_range& t : o.request.taken)
        taken.push_back(plain(t));
    const auto at = o.map.hole(false, 0x1'0000, 4096, {0x1000, 0x9'ffff}, taken);
    expected_faults faults;
    faults.add_if(o.h.setup_size() > 0x8000, fault_code::unsupported);
    faults.add_if(!at, fault_code::no_room);
    faults.check(found, stage::loading);
    if (!found)
        return;
    must(found->real_mode.raw() == *at && found->setup_size.raw() == o.h.setup_size(), "another real-mode part");
    must(found->base.kernel == image->kernel && found->base.initrd == image->initrd, "another kernel");
    for (std::size_t i = 0; i < found->base.segments.size(); ++i) {
        const phys_range here = found->base.segments[i].destination;
        const bool bios = here == phys_range::of(phys_addr::at(0), byte_count::of(4096)); // is kept as it is
        must(i < image->segments.size() ? here == image->segments[i].destination : bios || found->area().contains(here),
            "a segment elsewhere");
        must(!here.overlaps(found->setup_page()) && !here.overlaps(found->command_line_page()), "over a made page");
    }

    std::array<std::byte, 4096> page, wanted{};
    must(make_setup_page(o.file, *found, page).has_value(), "the file has its setup part");
    for (std::size_t i = 0; i < wanted.size() && i < o.h.setup_size(); ++i)
        wanted[i] = o.file.peek<std::byte>(i);
    const auto put = [&](std::size_t field, std::uint64_t value, std::size_t width) {
        std::memcpy(wanted.data() + field, &value, width);
    };
    put(0x210, 0xff, 1), put(0x211, o.h.loadflags | 0x80u, 1), put(0x214, o.kernel_at, 4), put(0x224, 0xde00, 2);
    put(0x218, image->initrd ? o.initrd_at : 0, 4), put(0x21c, image->initrd ? o.initrd->size().raw() : 0, 4);
    put(0x226, 0, 2), put(0x228, *at + 0xe000, 4), put(0x230, o.alignment, 4), put(0x250, 0, 8);
    must(page == wanted, "the setup page is not the image's");
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    input in{data, size};
    const std::uint8_t shape = in.byte();
    const bool with_initrd = (shape & 1) != 0;

    std::vector<region> storage(12);
    region_map map{storage};
    naive_map known;
    for (std::uint32_t i = in.below(9); i != 0; --i) {
        const auto kind = static_cast<region_kind>(in.below(7));
        const phys_range range = in.range();
        known.add(range, kind);
        if (!map.add(range, kind))
            known.forget_last();
    }
    const std::vector<region> before(map.regions().begin(), map.regions().end());
    std::vector<phys_range> taken;
    for (std::uint32_t i = in.below(4); i != 0; --i)
        taken.push_back(in.range());
    linux_request request{.taken = taken};
    if ((shape & 2) != 0)
        request.within = in.range();
    if ((shape & 16) != 0)
        request.entry = linux_entry::long_64;
    const bytes line = copy_of(in.take(in.byte()));
    const std::string longer = std::string(in.number(2) % 5000, 'x') + std::string{text_of(line)};
    request.command_line = (shape & 4) != 0 ? std::string_view{longer} : text_of(line);
    const long_file initrd{{}, with_initrd ? in.address() : 0, std::byte{0xa5}};
    const std::uint64_t line_at = in.address(), rsdp = in.address();
    const std::uint64_t file_size = in.address();
    const bytes header = copy_of(in.take(0x281 - 0x1f1));

    const long_file kernel{0x1f1, header, file_size, std::byte{0xa5}};
    const long_file other{0x1f1, header, file_size, std::byte{0x5a}};
    oracle o{kernel, with_initrd ? &initrd : nullptr, request, known};
    o.read();
    const auto image = with_initrd ? load_bzimage(kernel, initrd, request, map) : load_bzimage(kernel, request, map);
    o.faults.check(image, stage::loading);
    const auto again = with_initrd ? load_bzimage(other, initrd, request, map) : load_bzimage(other, request, map);
    must(image.has_value() == again.has_value() && (image || image.error() == again.error()),
        "the answer depends on what lies past the file");
    if (request.entry == linux_entry::protected_32)
        check_linux16(o, map, image);
    must(std::ranges::equal(map.regions(), before), "loading changed the memory map");
    if (image) {
        check_image(o, *image);
        check_boot_params(*image, map, line_at, (shape & 8) != 0 ? std::optional{phys_addr::at(rsdp)} : std::nullopt);
    }
    return 0;
}
