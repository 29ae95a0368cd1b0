// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// Files are the loader's modules, by name. A name may be the whole path or, as in the paper's `lobos linux-2.2.13`
/// [lobos/2000 §3.4], just the intermediate part of it: `linux-6.1` finds /usr/src/linux-6.1.0-50-686/vmlinuz.

#include "arena.hpp"
#include "frames.hpp"

#include <lobos/core/fixed_list.hpp>
#include <lobos/image/source.hpp>

#include <expected>
#include <new>
#include <string_view>

namespace kernel {

struct file {
    std::string_view path;
    lobos::phys_addr at;
    lobos::byte_count size;
};

using file_table = lobos::fixed_list<file, 32>;

/// How much of a component of `path` the `name` is: 2 for all of it, 1 for its beginning up to a separator of its
/// parts, 0 for nothing.
constexpr int part_of(std::string_view name, std::string_view path)
{
    int most = 0;
    for (std::size_t begin = 0; !name.empty() && begin < path.size();) {
        const std::size_t slash = std::min(path.find('/', begin), path.size());
        const std::string_view component{path.data() + begin, slash - begin};
        if (component == name)
            return 2;
        if (component.starts_with(name)) {
            const char after = component[name.size()];
            if (after == '.' || after == '-' || after == '_')
                most = 1;
        }
        begin = slash + 1;
    }
    return most;
}
static_assert(part_of("linux-6.1", "/usr/src/linux-6.1.0-50-686/vmlinuz") == 1);
static_assert(part_of("vmlinuz", "/usr/src/linux-6.1.0-50-686/vmlinuz") == 2);
static_assert(part_of("linux-6.1", "/usr/src/linux-6.10/vmlinuz") == 0 && part_of("", "/a") == 0);

/// The one file that `name` means, or why there is none. A whole path means more than a whole component of one, and
/// that more than a beginning.
constexpr std::expected<file, std::string_view> find_file(const file_table& files, std::string_view name)
{
    const file* found = nullptr;
    int best = 0;
    bool several = false;
    for (const file& f : files) {
        if (f.path == name)
            return f;
        const int here = part_of(name, f.path);
        several = here == best ? several || here != 0 : here < best && several;
        if (here > best)
            best = here, found = &f;
    }
    if (!found)
        return std::unexpected<std::string_view>{"no file has that name"};
    if (several)
        return std::unexpected<std::string_view>{"more than one file has that name"};
    return *found;
}

/// A file, read in: its bytes in scattered frames. Gives them back when it is dropped.
class file_in_memory {
public:
    /// Takes `f` as it lies, for when there is no room for it a second time. Fault: no_memory (at: bytes).
    static lobos::result<file_in_memory> in_place(const file& f)
    {
        using namespace lobos;
        file_in_memory in;
        in.storage_ = workspace.take(sizeof(extent));
        if (in.storage_.empty())
            return refuse(fault_code::no_memory, stage::loading, sizeof(extent));
        in.extents_ = {new (in.storage_.data()) extent{f.at, f.size}, 1};
        in.owns_frames_ = false;
        return in;
    }

    /// Reads `f` into frames of `reach`. Fault: no_memory (at: bytes), with nothing taken.
    static lobos::result<file_in_memory> read(const file& f, lobos::phys_range reach)
    {
        using namespace lobos;
        const std::size_t pages = static_cast<std::size_t>((f.size.raw() + page_size.raw() - 1) / page_size.raw());
        file_in_memory in;
        in.storage_ = workspace.take(pages * sizeof(extent));
        if (in.storage_.empty() && pages != 0)
            return refuse(fault_code::no_memory, stage::loading, f.size.raw());
        auto* extents = reinterpret_cast<extent*>(in.storage_.data());
        frame_pool.restart_scatter();
        for (std::size_t i = 0; i < pages; ++i) {
            const auto page = frame_pool.take_scattered(reach);
            if (!page)
                return refuse(fault_code::no_memory, stage::loading, f.size.raw());
            const byte_count done = byte_count::of(i * page_size.raw());
            const byte_count here = std::min(page_size, f.size - done);
            memory.write(*page, {pointer_to(f.at + done), static_cast<std::size_t>(here.raw())});
            new (extents + i) extent{*page, here};
            in.extents_ = {extents, i + 1};
        }
        return in;
    }

    file_in_memory(file_in_memory&& other) noexcept
        : storage_{std::exchange(other.storage_, {})},
          extents_{std::exchange(other.extents_, {})},
          owns_frames_{other.owns_frames_}
    {
    }
    file_in_memory& operator=(file_in_memory&&) = delete;
    ~file_in_memory()
    {
        for (const lobos::extent& e : extents_)
            if (owns_frames_)
                frame_pool.give(e.at);
        workspace.give(storage_);
    }

    lobos::staged_file<linear_memory> source() const { return {memory, extents_}; }

private:
    file_in_memory() = default;
    std::span<std::byte> storage_;
    std::span<const lobos::extent> extents_;
    bool owns_frames_ = true;
};

} // namespace kernel
