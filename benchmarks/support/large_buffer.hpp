// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// Memory for benchmarks as kernels have it: mapped in large pages and present. Without that, what is measured at large
/// sizes is the host's page faults and TLB misses.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>
#include <type_traits>
#include <utility>

#include <sys/mman.h>

namespace lobos::bench {

template <class T> class large_buffer {
    static_assert(std::is_trivially_copyable_v<T>);

public:
    large_buffer() = default;

    /// `count` elements of zero bytes.
    explicit large_buffer(std::size_t count) : bytes_{(count * sizeof(T) / large + 2) * large}
    {
        void* const at = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (at == MAP_FAILED) {
            std::perror("no memory for the benchmark");
            std::exit(1);
        }
        mapped_ = at;
        const auto first = (reinterpret_cast<std::uintptr_t>(at) + large - 1) & ~(large - 1);
        auto* const aligned = reinterpret_cast<std::byte*>(first);
        madvise(aligned, count * sizeof(T), MADV_HUGEPAGE);
        std::memset(aligned, 0, count * sizeof(T));
        elements_ = {reinterpret_cast<T*>(aligned), count};
    }
    large_buffer(large_buffer&& other) noexcept { *this = std::move(other); }
    large_buffer& operator=(large_buffer&& other) noexcept
    {
        std::swap(bytes_, other.bytes_);
        std::swap(mapped_, other.mapped_);
        std::swap(elements_, other.elements_);
        return *this;
    }
    ~large_buffer()
    {
        if (mapped_ != nullptr)
            munmap(mapped_, bytes_);
    }

    std::span<T> all() { return elements_; }
    std::span<const T> all() const { return elements_; }
    T& operator[](std::size_t i) { return elements_[i]; }
    std::size_t size() const { return elements_.size(); }

private:
    static constexpr std::uintptr_t large = 2u << 20;
    std::size_t bytes_ = 0;
    void* mapped_ = nullptr;
    std::span<T> elements_;
};

} // namespace lobos::bench
