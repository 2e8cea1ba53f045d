#include "peer/frame.h"

#include "base/assert.h"
#include "base/json.h"

namespace keel::peer {

BOOST_DESCRIBE_STRUCT(Hello, (), (node, incarnation, cluster, protocol))
BOOST_DESCRIBE_STRUCT(Refused, (), (reason, text))

namespace {

// Length of topic and call id, which the length field counts.
constexpr std::size_t kCounted = kFrameHead - 4;
constexpr std::size_t kMethodLimit = 64;
constexpr std::size_t kAnswerHeadLimit = 64 * 1024;

// Head of an answer's body. `code` is that of keel::Code, by name.
struct AnswerHead {
    bool ok = false;
    std::string code;
    std::string text;
    std::string mend;
    bool unknown = false;
};
BOOST_DESCRIBE_STRUCT(AnswerHead, (), (ok, code, text, mend, unknown))

template <class T>
void put(std::string& out, T value) {
    for (int shift = static_cast<int>(sizeof(T)) * 8 - 8; shift >= 0; shift -= 8) {
        out += static_cast<char>(static_cast<unsigned char>(value >> shift));
    }
}

template <class T>
T get(std::string_view in) {
    T value = 0;
    for (std::size_t i = 0; i < sizeof(T); ++i) value = static_cast<T>(value << 8 | static_cast<unsigned char>(in[i]));
    return value;
}

Code code_of(std::string const& name) {
    for (auto const code : {Code::invalid, Code::not_found, Code::conflict, Code::unavailable, Code::timeout,
                            Code::denied, Code::exhausted, Code::corrupt}) {
        if (name == to_string(code)) return code;
    }
    return Code::internal;
}

}  // namespace

bool is_known(Topic topic) {
    switch (topic) {
        case Topic::hello:
        case Topic::welcome:
        case Topic::refused:
        case Topic::cluster:
        case Topic::store:
        case Topic::call:
        case Topic::answer:
            return true;
    }
    return false;
}

std::variant<Frame, NeedMore, Malformed> next_frame(std::string_view in) {
    if (in.size() < 4) return NeedMore{kFrameHead};
    std::size_t const length = get<std::uint32_t>(in);
    if (length < kCounted) return Malformed{"frame length " + std::to_string(length) + " is below its head's"};
    if (length > kFrameLimit) return Malformed{"frame length " + std::to_string(length) + " is above the limit"};
    if (in.size() < length + 4) return NeedMore{length + 4};
    return Frame{static_cast<Topic>(in[4]), get<std::uint64_t>(in.substr(5)), in.substr(kFrameHead, length - kCounted),
                 length + 4};
}

std::string make_frame(Topic topic, std::uint64_t call, std::string_view body) {
    KEEL_ASSERT(body.size() <= kBodyLimit);
    std::string out;
    out.reserve(kFrameHead + body.size());
    put(out, static_cast<std::uint32_t>(body.size() + kCounted));
    put(out, static_cast<std::uint8_t>(topic));
    put(out, call);
    out.append(body);
    return out;
}

std::string write_hello(Hello const& hello) { return json::write(hello); }

Result<Hello> parse_hello(std::string_view body) {
    KEEL_TRY(auto hello, json::read<Hello>(body));
    if (hello.node.value.empty()) return fail(Code::corrupt, "a hello without a node");
    return hello;
}

std::string write_refused(Refused const& refused) { return json::write(refused); }
Result<Refused> parse_refused(std::string_view body) { return json::read<Refused>(body); }

std::string write_call(std::string_view method, std::string_view argument) {
    return std::string(method) + '\n' + std::string(argument);
}

Result<Call> parse_call(std::string_view body) {
    auto const newline = body.substr(0, kMethodLimit + 1).find('\n');
    if (newline == body.npos || newline == 0) return fail(Code::corrupt, "a call without a method");
    return Call{body.substr(0, newline), body.substr(newline + 1)};
}

std::string write_answer(Result<std::string> const& answer) {
    AnswerHead head;
    head.ok = answer.has_value();
    if (!answer) {
        auto const& error = answer.error();
        head = {false, to_string(error.code), error.text, error.mend, error.outcome == Outcome::unknown};
    }
    return json::write(head) + '\n' + answer.value_or("");
}

Result<std::string> parse_answer(std::string_view body) {
    auto const newline = body.substr(0, kAnswerHeadLimit).find('\n');
    if (newline == body.npos) return fail(Code::corrupt, "an answer without a head");
    KEEL_TRY(auto head, json::read<AnswerHead>(body.substr(0, newline)));
    if (head.ok) return std::string(body.substr(newline + 1));
    return fail(Error{code_of(head.code), std::move(head.text), std::move(head.mend),
                      head.unknown ? Outcome::unknown : Outcome::not_done});
}

}  // namespace keel::peer
