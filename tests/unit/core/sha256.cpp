// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/core/sha256.hpp>

#include <string>
#include <string_view>

#include <tests/catch.hpp>
#include <tests/support/byte_memory.hpp>

using namespace lobos;
using namespace lobos::test;

namespace {

std::string hex(const sha256::digest& digest)
{
    std::string text;
    for (const std::byte b : digest) {
        text += "0123456789abcdef"[std::to_integer<unsigned>(b) >> 4];
        text += "0123456789abcdef"[std::to_integer<unsigned>(b) & 0xf];
    }
    return text;
}

std::string sha_of(std::span<const std::byte> message)
{
    return hex(sha256{}.update(message).value());
}
std::string sha_of(std::string_view text)
{
    return sha_of(std::as_bytes(std::span{text}));
}

bytes patterned(std::size_t size)
{
    bytes message(size);
    for (std::size_t i = 0; i < size; ++i)
        message[i] = pattern(i);
    return message;
}

bytes from_hex(std::string_view digits)
{
    bytes message(digits.size() / 2);
    for (std::size_t i = 0; i < message.size(); ++i)
        message[i] = static_cast<std::byte>(std::stoul(std::string{digits.substr(2 * i, 2)}, nullptr, 16));
    return message;
}

} // namespace

TEST_CASE("the published messages of SHA-256", "[core][sha256]")
{
    CHECK(sha_of("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    CHECK(sha_of("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    CHECK(sha_of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") ==
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    CHECK(sha_of("abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmn"
                 "hijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu") ==
        "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1");
}

TEST_CASE("short messages of whole bytes", "[core][sha256]")
{
    const struct {
        const char* message;
        const char* digest;
    } known[] = {
        {"d3", "28969cdfa74a12c82f3bad960b0b000aca2ac329deea5c2328ebc6f2ba9802c1"},
        {"11af", "5ca7133fa735326081558ac312c620eeca9970d1e70a4b95533d956f072d1f98"},
        {"b4190e", "dff2e73091f6c05e528896c4c831b9448653dc2ff043528f6769437bc7b975c2"},
        {"74ba2521", "b16aa56be3880d18cd41e68384cf1ec8c17680c45a02b1575dc1518923ae8b0e"},
        {"c299209682", "f0887fe961c9cd3beab957e8222494abb969b1ce4c6557976df8b0f6d20e9166"},
        {"e1dc724d5621", "eca0a060b489636225b4fa64d267dabbe44273067ac679f20820bddc6b6a90ac"},
        {"06e076f5a442d5", "3fd877e27450e6bbd5d74bb82f9870c64c66e109418baa8e6bbcff355e287926"},
        {"5738c929c4f4ccb6", "963bb88f27f512777aab6c8b1a02c70ec0ad651d428f870036e1917120fb48bf"},
    };
    for (const auto& k : known) {
        CAPTURE(k.message);
        CHECK(sha_of(from_hex(k.message)) == k.digest);
    }
}

TEST_CASE("a million times one letter, in pieces of a prime size", "[core][sha256]")
{
    const std::string piece(997, 'a');
    sha256 sum;
    for (std::size_t left = 1'000'000; left != 0;) {
        const std::size_t here = std::min(left, piece.size());
        sum.update(std::as_bytes(std::span{piece}).first(here));
        left -= here;
    }
    CHECK(hex(sum.value()) == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST_CASE("every length around the edges of blocks and of the padding", "[core][sha256]")
{
    // Computed by another implementation: Python's hashlib.
    const struct {
        std::size_t size;
        const char* digest;
    } known[] = {
        {55, "16fa57a0a3423a715d594516339f36189d6b5f93754a9714fef202616a9fabfe"},
        {56, "c37b44e5f1b18554b36966f4f8e08bfbf3164c4b6c10374d12d89850892073c5"},
        {63, "bbba992d2c85af960fb2987a1fd05e0aa82a3db3c740dd8982a9e273b75e36a3"},
        {64, "66bd4633ed6f71c4ecfa4763bf7ba1c8ec7612de9aa6c0578a7b675207c71e0b"},
        {65, "9f7dc47107b750a1f3d35db5d9547f24ef40da5b731b9540d4f43710a154f6c9"},
        {119, "a3ed307b730fa77c07531300c6e4a282330011d4d4caf6bb7b63ae05950f4b66"},
        {120, "8e3b15d9fea7472655aa069620b7f8c2e55ee1499f763200a7515fe826e99d20"},
        {128, "e462c130fef8c97e34f7dc3ff3ad2f8b3533ab849af21c10531552a2852387a4"},
        {4097, "0910face7f15ab18f2dad306e6374be58f4bd44e7eaa7d98e80cd869adbb9b1e"},
    };
    for (const auto& k : known) {
        CAPTURE(k.size);
        CHECK(sha_of(patterned(k.size)) == k.digest);
    }
    // And all others in one: the digest of the digests of 0 to 299 bytes.
    sha256 all;
    for (std::size_t size = 0; size < 300; ++size)
        all.update(sha256{}.update(patterned(size)).value());
    CHECK(hex(all.value()) == "75ff2a3bbb788f054fcbdf38fb4f1b3b0a866e5310ce81986199efe853fc0474");
}

TEST_CASE("a digest of two blocks is the same wherever its message is cut", "[core][sha256]")
{
    const bytes message = patterned(128);
    const std::span<const std::byte> all{message};
    const auto whole = sha256{}.update(all).value();
    for (std::size_t a = 0; a <= message.size(); ++a)
        for (std::size_t b = a; b <= message.size(); ++b) {
            sha256 sum;
            sum.update(all.first(a)).update(all.subspan(a, b - a)).update(all.subspan(b));
            REQUIRE(sum.value() == whole);
        }
}

TEST_CASE("a digest can be read and then go on, and a copy goes its own way", "[core][sha256]")
{
    const bytes message = patterned(100);
    const std::span<const std::byte> all{message};
    sha256 sum;
    for (std::size_t i = 0; i < message.size(); ++i) {
        REQUIRE(sum.value() == sha256{}.update(all.first(i)).value());
        sha256 other = sum;
        other.update(all.first(3));
        sum.update(all.subspan(i, 1));
        REQUIRE(other.value() != sum.value());
    }
    CHECK(sum.update({}).value() == sha256{}.update(all).value());
}

TEST_CASE("a digest at compile time is the one at run time", "[core][sha256]")
{
    constexpr auto digest = [] {
        std::array<std::byte, 100> message{};
        for (std::size_t i = 0; i < message.size(); ++i)
            message[i] = pattern(i);
        return sha256{}.update(message).value();
    }();
    CHECK(hex(digest) == sha_of(patterned(100)));
}
