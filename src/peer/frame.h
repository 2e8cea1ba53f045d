// The bytes between two nodes: length-prefixed frames. Pure: looks at bytes it does not own, never reads a socket.
//
//   u32 length of what follows (9 .. kFrameLimit) | u8 topic | u64 call id (0: none) | body      all big endian
//
// A connection begins with one hello frame from the dialling side and one welcome or refused frame back.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "base/ids.h"
#include "base/result.h"

namespace keel::peer {

inline constexpr std::size_t kFrameHead = 13;
inline constexpr std::size_t kFrameLimit = 4 * 1024 * 1024;  // length field at most
inline constexpr std::size_t kBodyLimit = kFrameLimit - 9;
inline constexpr std::uint32_t kProtocol = 1;

enum class Topic : std::uint8_t {
    hello = 1,
    welcome = 2,
    refused = 3,
    cluster = 16,  // cluster::Message
    store = 17,    // consensus
    call = 18,     // request; the body is method '\n' argument
    answer = 19,   // reply of a call; the body is a JSON head '\n' payload
};
bool is_known(Topic topic);

struct Frame {
    Topic topic = Topic::cluster;
    std::uint64_t call = 0;
    std::string_view body;
    std::size_t size = 0;  // whole frame, with its head
};
struct NeedMore {
    std::size_t bytes = 0;  // the buffer must hold this many before the next try
};
struct Malformed {
    std::string reason;
};

// The first frame in `in`. A topic nobody knows is a Frame (a newer node may have sent it): skip it by its size.
std::variant<Frame, NeedMore, Malformed> next_frame(std::string_view in);
// Body at most kBodyLimit bytes (assert).
std::string make_frame(Topic topic, std::uint64_t call, std::string_view body);

// Bodies of the handshake, JSON.
struct Hello {
    NodeId node;
    std::uint64_t incarnation = 0;
    std::string cluster;
    std::uint32_t protocol = kProtocol;
};
struct Refused {
    std::string reason;  // duplicate, wrong cluster, wrong certificate, not a member, protocol
    std::string text;
};
std::string write_hello(Hello const& hello);
Result<Hello> parse_hello(std::string_view body);
std::string write_refused(Refused const& refused);
Result<Refused> parse_refused(std::string_view body);

// Bodies of call and answer.
std::string write_call(std::string_view method, std::string_view argument);
struct Call {
    std::string_view method;
    std::string_view argument;
};
Result<Call> parse_call(std::string_view body);
std::string write_answer(Result<std::string> const& answer);
// The far side's result, its error included.
Result<std::string> parse_answer(std::string_view body);

}  // namespace keel::peer
