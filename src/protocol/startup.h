// What a client may send before it is known: the first packet of a connection, parsed within a bound.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "protocol/frame.h"

namespace keel::protocol {

// As PostgreSQL's MAX_STARTUP_PACKET_LENGTH.
inline constexpr std::size_t kStartupMax = 10'000;
inline constexpr std::uint16_t kMajor = 3;
// 3.2 has longer keys for cancelling (PostgreSQL 18).
inline constexpr std::uint16_t kMinorMax = 2;

struct NeedMore {};
struct Malformed {
    char const* why;
};
struct SslRequest {};
struct GssRequest {};
struct Cancel {
    std::uint32_t process = 0;
    std::string key;  // 4 bytes in protocol 3.0, up to 256 in 3.2
};
struct Startup {
    std::uint16_t major = 0;
    std::uint16_t minor = 0;
    std::vector<std::pair<std::string, std::string>> parameters;  // in their order
    // Empty when it is not there.
    std::string_view find(std::string_view name) const;
};
using First = std::variant<NeedMore, Malformed, SslRequest, GssRequest, Cancel, Startup>;

// The first packet in `in`, and how long it is. Refused as soon as its length is known to be out of bounds.
struct FirstPacket {
    First first;
    std::size_t size = 0;
};
FirstPacket parse_first(std::string_view in);

void write_ssl_request(std::string& out);
void write_cancel(std::string& out, std::uint32_t process, std::string_view key);
void write_startup(std::string& out, std::vector<std::pair<std::string_view, std::string_view>> const& parameters);

// "-c name=value -cname=value --name=value", with backslashes, as the parameter `options` has it. False: something
// else stands there too.
bool parse_options(std::string_view text, std::vector<std::pair<std::string, std::string>>& out);

}  // namespace keel::protocol
