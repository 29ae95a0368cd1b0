// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/glue/kernel_glue.hpp>

#include <utility>

#include <tests/catch.hpp>
#include <tests/support/byte_memory.hpp>

using namespace lobos;

namespace {

/// The requirements of a glue, by number.
enum requirement : unsigned {
    memory_map,
    memory_generation,
    memory,
    allocate_page,
    allocate_page_at,
    virtual_address,
    allocate_workspace,
    free_page,
    free_workspace,
    before_point_of_no_return,
    processor,
    port,
    all,
};

template <bool> struct has_port {};
template <> struct has_port<true> {
    struct port {
        static constexpr byte_count page_size = 8_KiB;
    };
};
struct other {};

/// A glue without requirement `Missing`; `Wrong` has another type, or may throw if it must not.
template <unsigned Missing, unsigned Wrong = all> struct model : has_port<Missing != requirement::port> {
    template <unsigned R, class T> using type = std::conditional_t<Wrong == R, other, T>;

    type<requirement::memory_map, const region_map&> memory_map()
        requires(Missing != requirement::memory_map);
    type<requirement::memory_generation, std::uint64_t> memory_generation()
        requires(Missing != requirement::memory_generation);
    type<requirement::memory, test::byte_memory&> memory()
        requires(Missing != requirement::memory);
    type<requirement::allocate_page, std::optional<phys_addr>> allocate_page(phys_range)
        requires(Missing != requirement::allocate_page);
    type<requirement::allocate_page_at, bool> allocate_page_at(phys_addr)
        requires(Missing != requirement::allocate_page_at);
    void free_page(phys_addr) noexcept(Wrong != requirement::free_page)
        requires(Missing != requirement::free_page);
    type<requirement::virtual_address, std::optional<virt_addr>> virtual_address(phys_addr)
        requires(Missing != requirement::virtual_address);
    type<requirement::allocate_workspace, std::span<std::byte>> allocate_workspace(std::size_t)
        requires(Missing != requirement::allocate_workspace);
    void free_workspace(std::span<std::byte>) noexcept(Wrong != requirement::free_workspace)
        requires(Missing != requirement::free_workspace);
    int& processor()
        requires(Missing != requirement::processor);
    void before_point_of_no_return() noexcept(Wrong != requirement::before_point_of_no_return)
        requires(Missing != requirement::before_point_of_no_return);
};

template <unsigned... R> constexpr bool all_are_needed(std::integer_sequence<unsigned, R...>)
{
    return (!kernel_glue<model<R>> && ...);
}
template <unsigned... R> constexpr bool all_types_matter(std::integer_sequence<unsigned, R...>)
{
    return (!kernel_glue<model<all, R>> && ...);
}

static_assert(kernel_glue<model<all>>);
static_assert(all_are_needed(std::make_integer_sequence<unsigned, all>{}));
static_assert(all_types_matter(std::make_integer_sequence<unsigned, requirement::processor>{}));

/// What is asked for memory has to be memory, and still there afterwards.
struct memory_of_integers : model<requirement::memory> {
    int& memory();
};
struct memory_by_value : model<requirement::memory> {
    test::byte_memory memory();
};
struct read_only_memory : model<requirement::memory> {
    const test::byte_memory& memory();
};
static_assert(!kernel_glue<memory_of_integers> && !kernel_glue<memory_by_value> && !kernel_glue<read_only_memory>);

/// A port says how large a page is.
struct no_page_size : model<requirement::port> {
    struct port {};
};
struct page_size_by_integer : model<requirement::port> {
    struct port {
        static constexpr std::uint64_t page_size = 8192;
    };
};
static_assert(!kernel_glue<no_page_size> && !kernel_glue<page_size_by_integer>);

/// A page is a physical address, and the map is not a copy.
struct page_by_integer : model<requirement::free_page> {
    void free_page(std::uint64_t) noexcept;
};
struct map_to_change : model<requirement::memory_map> {
    region_map& memory_map();
};
static_assert(!kernel_glue<page_by_integer> && !kernel_glue<map_to_change> && !kernel_glue<int>);

} // namespace

TEST_CASE("there are as many requirements as the comment of the concept says", "[glue][kernel_glue]")
{
    CHECK(static_cast<unsigned>(all) == 12);
}
