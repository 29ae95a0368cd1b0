// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// Catch2, 2.13 or 3, with words for the library's plain types in its messages.

#if __has_include(<catch2/catch_test_macros.hpp>)
#include <catch2/catch_message.hpp>
#include <catch2/catch_template_test_macros.hpp>
#include <catch2/catch_test_macros.hpp>
#include <catch2/catch_tostring.hpp>
#include <catch2/generators/catch_generators_all.hpp>
#else
#include <catch2/catch.hpp>
#endif

#include <sstream>
#include <string>

#include <lobos/core/fault.hpp>
#include <lobos/core/range.hpp>

namespace Catch {

template <class Space> struct StringMaker<lobos::basic_address<Space>> {
    static std::string convert(lobos::basic_address<Space> a)
    {
        std::ostringstream out;
        out << "0x" << std::hex << a.raw();
        return out.str();
    }
};

template <> struct StringMaker<lobos::byte_count> {
    static std::string convert(lobos::byte_count n) { return std::to_string(n.raw()) + " bytes"; }
};

template <class Address> struct StringMaker<lobos::basic_range<Address>> {
    static std::string convert(lobos::basic_range<Address> r)
    {
        return StringMaker<Address>::convert(r.first()) + ".." + StringMaker<Address>::convert(r.last());
    }
};

template <> struct StringMaker<lobos::fault> {
    static std::string convert(lobos::fault f)
    {
        std::ostringstream out;
        out << to_string(f.in) << ": " << to_string(f.code) << " (0x" << std::hex << f.at << ")";
        return out.str();
    }
};

} // namespace Catch
