// The expected failure of an operation: what happened, where, how to mend it, and, for writes, what is known of the
// outcome.
#pragma once

#include <expected>
#include <string>
#include <utility>
#include <vector>

namespace keel {

enum class Code {
    invalid,      // the caller's input is wrong
    not_found,    // the thing named does not exist
    conflict,     // somebody else changed it first
    unavailable,  // a peer, server or file cannot be reached now
    timeout,      // no answer within the bound
    denied,       // not permitted
    exhausted,    // disk, memory, connections
    corrupt,      // bytes that are not what they claim to be
    internal,     // a fault of ours
};

// What is known about a write that failed. A false "done" is never reported; `unknown` is an answer.
enum class Outcome { not_done, unknown };

struct Error {
    Code code = Code::internal;
    std::string text;
    std::string mend = {};  // what to do about it; may be empty
    Outcome outcome = Outcome::not_done;

    // Puts "context: " in front of the text.
    Error&& in(std::string const& context) && {
        text = context + ": " + text;
        return std::move(*this);
    }
};

template <class T>
using Result = std::expected<T, Error>;
using Status = Result<void>;

inline std::unexpected<Error> fail(Code code, std::string text, std::string mend = {}) {
    return std::unexpected(Error{code, std::move(text), std::move(mend)});
}
inline std::unexpected<Error> fail(Error error) { return std::unexpected(std::move(error)); }

char const* to_string(Code code);
// "text (mend: ...)", for logs and terminals.
std::string to_string(Error const& error);

}  // namespace keel

// Passes the error of a Result on, with a context: KEEL_TRY(auto rows, query(...));
#define KEEL_CONCAT_(a, b) a##b
#define KEEL_CONCAT(a, b) KEEL_CONCAT_(a, b)
#define KEEL_TRY_(name, target, ...)                            \
    auto name = (__VA_ARGS__);                                  \
    if (!name) return std::unexpected(std::move(name).error()); \
    target = std::move(*name)
#define KEEL_TRY(target, ...) KEEL_TRY_(KEEL_CONCAT(keel_try_, __LINE__), target, __VA_ARGS__)
// The same for a Status.
#define KEEL_CHECK(...) \
    if (auto keel_status = (__VA_ARGS__); !keel_status) return std::unexpected(std::move(keel_status).error())
