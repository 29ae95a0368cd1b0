// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// How deep prepare() goes: a kernel's stack is small, and what lies behind it is somebody's.

#include <cstdlib>
#include <cstring>

#include <pthread.h>

#include <lobos/core/sha256.hpp>

#include <tests/support/scenario.hpp>

using namespace lobos;
using namespace lobos::test;

namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr bool as_compiled = false; // every variable has room around it
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
constexpr bool as_compiled = false;
#else
constexpr bool as_compiled = true;
#endif
#else
constexpr bool as_compiled = true;
#endif

/// A stack of which nothing has been touched.
struct fresh_stack {
    static constexpr std::size_t size = 1 << 20;
    static constexpr unsigned char paint = 0xa5;
    unsigned char* const bytes = static_cast<unsigned char*>(std::aligned_alloc(4096, size));

    fresh_stack() { std::memset(bytes, paint, size); }
    ~fresh_stack() { std::free(bytes); }
    fresh_stack(const fresh_stack&) = delete;

    std::size_t used() const
    {
        std::size_t left = 0;
        while (left < size && bytes[left] == paint)
            ++left;
        return size - left;
    }
};

/// What `function` takes of a stack, beside what a thread takes anyway.
template <class F> std::size_t depth_of(F function)
{
    const auto run = [](auto& what) {
        const fresh_stack stack;
        pthread_attr_t attributes;
        REQUIRE(pthread_attr_init(&attributes) == 0);
        REQUIRE(pthread_attr_setstack(&attributes, stack.bytes, fresh_stack::size) == 0);
        pthread_t thread;
        const auto enter = [](void* f) -> void* {
            (*static_cast<std::remove_reference_t<decltype(what)>*>(f))();
            return nullptr;
        };
        REQUIRE(pthread_create(&thread, &attributes, enter, &what) == 0);
        REQUIRE(pthread_join(thread, nullptr) == 0);
        return stack.used();
    };
    auto nothing = [] {};
    return run(function) - run(nothing);
}

constexpr std::size_t promised = 12 << 10; // kernel_exec.hpp; the simulated machine is in it

} // namespace

TEST_CASE("prepare() takes little of the stack")
{
    linux_scenario s{4};
    const auto image = s.load();
    REQUIRE(image);
    const x86::linux32_entry contract{*image};
    bool prepared = false;
    const auto with = [&]<class Sum>(
                          Sum) { return depth_of([&] { prepared = prepare<Sum>(s.machine, contract).has_value(); }); };
    for (const std::size_t depth : {with(crc32c{}), with(sha256{})}) {
        CAPTURE(depth);
        CHECK(prepared);
        CHECK((depth < promised || !as_compiled));
        CHECK(depth > 1024);
    }

    paged_scenario p{2};
    const auto paged = p.load();
    REQUIRE(paged);
    const std::size_t depth = depth_of([&] { prepared = prepare(p.machine, *paged).has_value(); });
    CAPTURE(depth);
    CHECK(prepared);
    CHECK((depth < promised || !as_compiled));
}
