// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The kernel's command line: `exec=NAME[,NAME...] [initrd=NAME] [entry=WAY] [paging=MODE]
/// [flat=AT:VIRTUAL:ENTRY:ZEROS] [copy=paged|unpaged] [place=above-4g] [chain=N] [generation=G] [cpus=N] [-- TARGET
/// COMMAND LINE]`. The first word is the loader's name for the kernel. The names are tried in turn until one can be
/// executed, by the entry of that name; before that the kernel executes itself `chain` times, and counts.

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string_view>

namespace kernel {

/// Where a plain binary belongs, which says nothing of itself. All in bytes.
struct plain_binary {
    std::uint64_t at;        ///< physical address of its first byte
    std::uint64_t mapped_at; ///< where the same byte is found when it is entered, with paging on
    std::uint64_t entry;     ///< from the first byte
    std::uint64_t zeros;     ///< behind the last
};

struct options {
    std::string_view exec;           ///< names with commas between them
    std::string_view initrd;         ///< empty: none
    std::string_view entry = "auto"; ///< by which of its entries an image is started; auto: the first that it has
    std::string_view paging; ///< the mode that an image is entered in, where it is entered paged; empty: this one
    std::optional<plain_binary> flat; ///< the images are plain binaries
    std::uint32_t cpus = 1;           ///< so many processors run this kernel
    std::uint32_t chain = 0;
    std::uint32_t generation = 0;
    bool late = false;        ///< no byte of an image is put in place before the point of no return
    bool unpaged = false;     ///< the copy runs without paging
    bool above_4g = false;    ///< what may lie above 4 GiB goes there: a Linux, and all that an exec needs
    bool in_place = false;    ///< files are not read in, but taken from where the loader put them
    std::uint32_t sum_at = 0; ///< physical memory of which a checksum is to be printed
    std::uint32_t sum_size = 0;
    std::string_view own;    ///< everything in front of the target's, without the first word
    std::string_view target; ///< the target's command line, to the letter
};

/// The text from `position` on; nothing when it has no such position.
constexpr std::string_view text_from(std::string_view text, std::size_t position)
{
    text.remove_prefix(std::min(position, text.size()));
    return text;
}

/// The text up to `separator`, which is taken off `text` with it.
constexpr std::string_view take_until(std::string_view& text, char separator)
{
    const std::size_t end = std::min(text.find(separator), text.size());
    const std::string_view taken{text.data(), end};
    text = text_from(text, end + 1);
    return taken;
}

template <class N = std::uint32_t> constexpr N number(std::string_view digits)
{
    N n = 0;
    for (const char c : digits)
        if (c >= '0' && c <= '9')
            n = n * 10 + static_cast<N>(c - '0');
    return n;
}

constexpr plain_binary plain_binary_of(std::string_view words)
{
    const auto next = [&] { return number<std::uint64_t>(take_until(words, ':')); };
    return {.at = next(), .mapped_at = next(), .entry = next(), .zeros = next()};
}

constexpr options parse(std::string_view line)
{
    options o;
    take_until(line, ' ');
    const std::size_t dashes = std::min(line.starts_with("-- ") ? 0 : line.find(" -- "), line.size());
    o.own = {line.data(), dashes};
    if (dashes < line.size())
        o.target = text_from(line, line.find("-- ", dashes) + 3);
    for (std::string_view rest = o.own; !rest.empty();) {
        std::string_view word = take_until(rest, ' ');
        const std::string_view key = take_until(word, '=');
        if (key == "exec")
            o.exec = word;
        else if (key == "initrd")
            o.initrd = word;
        else if (key == "entry")
            o.entry = word;
        else if (key == "paging")
            o.paging = word;
        else if (key == "flat")
            o.flat = plain_binary_of(word);
        else if (key == "cpus")
            o.cpus = number(word);
        else if (key == "chain")
            o.chain = number(word);
        else if (key == "generation")
            o.generation = number(word);
        else if (key == "staging")
            o.late = word == "late";
        else if (key == "copy")
            o.unpaged = word == "unpaged";
        else if (key == "place")
            o.above_4g = word == "above-4g";
        else if (key == "files")
            o.in_place = word == "in-place";
        else if (key == "checksum")
            o.sum_at = number(take_until(word, '+')), o.sum_size = number(word);
    }
    return o;
}

// Sanity checks
static_assert(parse("k exec=a,b initrd=c chain=12 -- quiet -- x=1").target == "quiet -- x=1");
static_assert(parse("k exec=a,b initrd=c chain=12 -- quiet").exec == "a,b");
static_assert(parse("k chain=12 generation=3").chain == 12 && parse("k chain=12").target.empty());
static_assert(parse("k staging=late").late && !parse("k staging=early").late);
static_assert(parse("k entry=pvh").entry == "pvh" && parse("k").entry == "auto");
static_assert(parse("k paging=5level").paging == "5level" && parse("k").paging.empty());
static_assert(parse("k flat=1048576:18446744071562067968:16:8").flat->mapped_at == 0xffff'ffff'8000'0000);
static_assert(parse("k flat=1048576:0:16:8").flat->zeros == 8 && !parse("k").flat);
static_assert(parse("k cpus=4").cpus == 4 && parse("k").cpus == 1);
static_assert(parse("k copy=unpaged").unpaged && !parse("k copy=paged").unpaged);
static_assert(parse("k place=above-4g").above_4g && !parse("k").above_4g);
static_assert(parse("k files=in-place checksum=4096+12").in_place && parse("k checksum=4096+12").sum_size == 12);
static_assert(parse("k -- y").target == "y" && parse("k").own.empty());

} // namespace kernel
