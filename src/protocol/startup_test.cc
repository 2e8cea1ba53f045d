#include "protocol/startup.h"

#include <gtest/gtest.h>

namespace keel::protocol {
namespace {

using namespace std::string_view_literals;

std::string packet(std::string_view rest) {
    auto const length = static_cast<char>(rest.size() + 4);
    return std::string(3, '\0') + length + std::string(rest);
}

template <class T>
bool is(std::string const& in) {
    return std::holds_alternative<T>(parse_first(in).first);
}

TEST(Startup, EveryFirstPacketIsKnownOrRefused) {
    EXPECT_TRUE(is<NeedMore>(""));
    EXPECT_TRUE(is<NeedMore>(packet("\0\3\0\0user\0me\0\0"sv).substr(0, 12)));
    EXPECT_TRUE(is<SslRequest>(packet("\x04\xd2\x16\x2f"sv)));
    EXPECT_TRUE(is<GssRequest>(packet("\x04\xd2\x16\x30"sv)));
    EXPECT_TRUE(is<Cancel>(packet("\x04\xd2\x16\x2e\0\0\0\1abcd"sv)));
    EXPECT_TRUE(is<Malformed>(packet("\x04\xd2\x16\x2e\0\0\0\1"sv))) << "no key";
    EXPECT_TRUE(is<Malformed>(packet("\0\3"sv))) << "too short for any";
    EXPECT_TRUE(is<Malformed>("GET / HTTP/1.1\r\n")) << "a length of a gigabyte";
    EXPECT_TRUE(is<Malformed>(packet("\0\3\0\0user\0me"sv))) << "no end";
    EXPECT_TRUE(is<Malformed>(packet("\0\3\0\0user\0me\0\0more\0"sv))) << "something behind the end";
    EXPECT_TRUE(is<Malformed>(packet("\0\3\0\0user\0\0"sv))) << "a name without a value ends it before its end";
}

TEST(Startup, ParametersComeInTheirOrderAndTheLastOneCounts) {
    auto const first = parse_first(packet("\0\3\0\2user\0a\0user\0b\0\0"sv));
    auto const& startup = std::get<Startup>(first.first);
    EXPECT_EQ(startup.major, 3);
    EXPECT_EQ(startup.minor, 2);
    EXPECT_EQ(startup.find("user"), "b");
    EXPECT_EQ(startup.find("database"), "");
    EXPECT_EQ(first.size, 23U);
}

TEST(Startup, AnOlderProtocolIsNotTakenApart) {
    auto const first = parse_first(packet("\0\2\0\0whatever"sv));
    EXPECT_EQ(std::get<Startup>(first.first).major, 2);
}

TEST(Startup, OptionsAreSettingsInAllTheirSpellings) {
    std::vector<std::pair<std::string, std::string>> out;
    EXPECT_TRUE(parse_options("-c a=1  -cb=2 --c-d=3\\ 4", out));
    using Pairs = std::vector<std::pair<std::string, std::string>>;
    EXPECT_EQ(out, (Pairs{{"a", "1"}, {"b", "2"}, {"c_d", "3 4"}}));
    for (char const* bad : {"-c", "a=1", "-c a", "-c =1", "-B 5"}) {
        out.clear();
        EXPECT_FALSE(parse_options(bad, out)) << bad;
    }
}

TEST(Startup, WhatWeWriteIsWhatWeRead) {
    std::string out;
    write_startup(out, {{"user", "u"}, {"database", "d"}});
    EXPECT_EQ(std::get<Startup>(parse_first(out).first).find("database"), "d");
    out.clear();
    write_cancel(out, 7, "key!");
    auto const first = parse_first(out);
    EXPECT_EQ(std::get<Cancel>(first.first).process, 7U);
    EXPECT_EQ(std::get<Cancel>(first.first).key, "key!");
    out.clear();
    write_ssl_request(out);
    EXPECT_TRUE(is<SslRequest>(out));
}

}  // namespace
}  // namespace keel::protocol
