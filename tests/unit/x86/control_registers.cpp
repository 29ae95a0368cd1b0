// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/x86/control_registers.hpp>

#include <tests/catch.hpp>

namespace cr0 = lobos::x86::cr0;
namespace cr4 = lobos::x86::cr4;
namespace efer = lobos::x86::efer;

TEST_CASE("the bits of CR0 are the manual's", "[x86][control_registers]")
{
    CHECK(cr0::protection == 0x0000'0001);
    CHECK(cr0::monitor_coprocessor == 0x0000'0002);
    CHECK(cr0::emulation == 0x0000'0004);
    CHECK(cr0::task_switched == 0x0000'0008);
    CHECK(cr0::extension_type == 0x0000'0010);
    CHECK(cr0::numeric_error == 0x0000'0020);
    CHECK(cr0::write_protect == 0x0001'0000);
    CHECK(cr0::alignment_mask == 0x0004'0000);
    CHECK(cr0::not_write_through == 0x2000'0000);
    CHECK(cr0::cache_disable == 0x4000'0000);
    CHECK(cr0::paging == 0x8000'0000);
}

TEST_CASE("the bits of CR4 are the manual's", "[x86][control_registers]")
{
    CHECK(cr4::virtual_8086_extensions == 0x0000'0001);
    CHECK(cr4::virtual_interrupts == 0x0000'0002);
    CHECK(cr4::time_stamp_disable == 0x0000'0004);
    CHECK(cr4::debugging_extensions == 0x0000'0008);
    CHECK(cr4::large_pages == 0x0000'0010);
    CHECK(cr4::wide_pages == 0x0000'0020);
    CHECK(cr4::machine_check == 0x0000'0040);
    CHECK(cr4::global_pages == 0x0000'0080);
    CHECK(cr4::performance_counters == 0x0000'0100);
    CHECK(cr4::fxsave == 0x0000'0200);
    CHECK(cr4::simd_exceptions == 0x0000'0400);
    CHECK(cr4::user_mode_instructions == 0x0000'0800);
    CHECK(cr4::five_levels == 0x0000'1000);
    CHECK(cr4::virtual_machines == 0x0000'2000);
    CHECK(cr4::safer_mode == 0x0000'4000);
    CHECK(cr4::segment_bases == 0x0001'0000);
    CHECK(cr4::process_contexts == 0x0002'0000);
    CHECK(cr4::xsave == 0x0004'0000);
    CHECK(cr4::key_locker == 0x0008'0000);
    CHECK(cr4::no_user_execution == 0x0010'0000);
    CHECK(cr4::no_user_access == 0x0020'0000);
    CHECK(cr4::user_keys == 0x0040'0000);
    CHECK(cr4::control_flow == 0x0080'0000);
    CHECK(cr4::supervisor_keys == 0x0100'0000);
    CHECK(cr4::user_interrupts == 0x0200'0000);
}

TEST_CASE("the bits of IA32_EFER are the manual's", "[x86][control_registers]")
{
    CHECK(efer::model_register == 0xc000'0080);
    CHECK(efer::system_calls == 0x001);
    CHECK(efer::long_mode == 0x100);
    CHECK(efer::long_mode_active == 0x400);
    CHECK(efer::execute_disable == 0x800);
}

TEST_CASE("clearing a bit leaves the upper half of a register", "[x86][control_registers]")
{
    CHECK((~std::uint64_t{0} & ~cr4::global_pages) == 0xffff'ffff'ffff'ff7f);
    CHECK((~std::uint64_t{0} & ~cr0::paging) == 0xffff'ffff'7fff'ffff);
    CHECK((~std::uint64_t{0} & ~efer::long_mode) == 0xffff'ffff'ffff'feff);
}

TEST_CASE("registers differ when one does", "[x86][control_registers]")
{
    using registers = lobos::x86::control_registers;
    const registers r{1, 2, 3, 4};
    CHECK(r == registers{1, 2, 3, 4});
    for (const registers& other : {registers{0, 2, 3, 4}, {1, 0, 3, 4}, {1, 2, 0, 4}, {1, 2, 3, 0}})
        CHECK_FALSE(r == other);
}
