// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/systems/system.hpp>

#include <lobos/sim/x86_kernel.hpp>
#include <lobos/systems/bootimg.hpp>
#include <lobos/systems/lobos.hpp>
#include <lobos/systems/two_kernel_monte.hpp>
#include <lobos/x86/linux32_entry.hpp>
#include <lobos/x86/paged_entry.hpp>

#include <tests/catch.hpp>

namespace {

using ::lobos::sim::x86_kernel;
namespace systems = ::lobos::systems;

template <class S, class Contract>
concept offers = requires(x86_kernel& kernel, const Contract& contract) { systems::prepare<S>(kernel, contract); };

/// A system without a way that it claims to be named for.
struct confused : systems::bootimg {
    static constexpr bool enters(::lobos::x86::entry_state) { return false; }
};

} // namespace

TEST_CASE("each system offers its own cells of the grid and no others", "[systems]")
{
    using ::lobos::x86::linux32_entry;
    using ::lobos::x86::paged_entry;
    STATIC_REQUIRE(offers<systems::lobos, paged_entry>);
    STATIC_REQUIRE(offers<systems::lobos, linux32_entry>);
    STATIC_REQUIRE_FALSE(offers<systems::bootimg, paged_entry>);
    STATIC_REQUIRE(offers<systems::bootimg, linux32_entry>);
    STATIC_REQUIRE_FALSE(offers<systems::two_kernel_monte, paged_entry>);
    STATIC_REQUIRE(offers<systems::two_kernel_monte, linux32_entry>);
    STATIC_REQUIRE_FALSE(systems::system<confused>);
}
