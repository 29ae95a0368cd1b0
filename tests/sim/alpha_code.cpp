// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// That it is what the sources give, tests/static/alpha-code sees. What the instructions do, tests/sim/alpha_processor.

#include <lobos/sim/alpha_code.hpp>
#include <lobos/sim/alpha_instruction.hpp>

#include <algorithm>
#include <vector>

#include <tests/catch.hpp>

using namespace lobos;
using sim::alpha_code;
using sim::alpha_instruction;
using sim::alpha_opcode;

namespace {

const std::vector<std::span<const std::uint32_t>> pieces = {
    alpha_code::depart, alpha_code::copy, alpha_code::copy_with_bytes, alpha_code::leave, alpha_code::guard};

bool is_branch(alpha_instruction i)
{
    return static_cast<unsigned>(i.opcode()) >= static_cast<unsigned>(alpha_opcode::br);
}

} // namespace

TEST_CASE("a kernel brings all pieces, with the loop for its processor")
{
    for (const bool bytes : {false, true}) {
        const alpha::overlay_code code = alpha_code::pieces(bytes);
        CHECK(code[alpha::piece::depart].size() == sizeof alpha_code::depart);
        CHECK(
            code[alpha::piece::copy].size() == (bytes ? sizeof alpha_code::copy_with_bytes : sizeof alpha_code::copy));
        CHECK(code[alpha::piece::leave].size() == sizeof alpha_code::leave);
        CHECK(code[alpha::piece::guard].size() == sizeof alpha_code::guard);
        CHECK(std::to_integer<std::uint8_t>(code[alpha::piece::leave][0]) == 0x86); // imb
    }
}

TEST_CASE("no piece branches out of itself, and none has a global pointer")
{
    for (const auto& piece : pieces)
        for (std::size_t n = 0; n < piece.size(); ++n) {
            const alpha_instruction i{piece[n]};
            if (is_branch(i)) // below the beginning is far beyond the end
                CHECK(4 * (n + std::uint64_t{1}) + i.branch_displacement() < 4 * piece.size());
            constexpr unsigned gp = sim::alpha_register::gp;
            const bool loads = i.opcode() >= alpha_opcode::lda && !is_branch(i);
            CHECK_FALSE((loads && (i.rb() == gp || i.ra() == gp)));
        }
}

TEST_CASE("the loop for any Alpha has no loads and stores of bytes, the other one has")
{
    const auto has_bytes = [](std::span<const std::uint32_t> piece) {
        return std::ranges::any_of(piece, [](std::uint32_t word) {
            const alpha_opcode code = alpha_instruction{word}.opcode();
            return code == alpha_opcode::ldbu || code == alpha_opcode::ldwu || code == alpha_opcode::stb ||
                code == alpha_opcode::stw || code == alpha_opcode::extension;
        });
    };
    CHECK_FALSE(has_bytes(alpha_code::copy));
    CHECK(has_bytes(alpha_code::copy_with_bytes));
    CHECK_FALSE(has_bytes(alpha_code::depart));
    CHECK_FALSE(has_bytes(alpha_code::leave));
    // The guard has a store of a byte for whoever knows of a device that wants one.
    CHECK(std::ranges::count_if(
              alpha_code::guard, [&](const std::uint32_t& word) { return has_bytes(std::span{&word, 1}); }) == 1);
}

TEST_CASE("all pieces are small")
{
    for (const bool with_bytes : {false, true}) {
        CAPTURE(with_bytes);
        CHECK(alpha_code::pieces(with_bytes).place(alpha::pieces, 16_bytes) <= 1_KiB);
    }
}
