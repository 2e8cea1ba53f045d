// A place in the history of a cluster: which commit a session has seen last, and whether a standby has replayed it.
#pragma once

#include <algorithm>
#include <boost/describe.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"

namespace keel::proxy {

// How far reads look back. off: not at all. session: they see what their session has committed. global: what anybody
// has committed through this proxy.
enum class Causal { off, session, global };
BOOST_DESCRIBE_ENUM(Causal, off, session, global)

// Positions are comparable within one timeline only.
struct Token {
    Timeline timeline;
    Lsn lsn;
    bool is_set() const { return timeline.value != 0; }
    bool operator==(Token const&) const = default;
};
// As in 3:16/B374D848. Empty when the text is no token.
std::optional<Token> parse_token(std::string_view text);
std::string to_string(Token const& token);
// The one that implies the other: a later timeline has all of the earlier ones that is still in the history.
Token later(Token const& a, Token const& b);

// A timeline that is part of the history, and where it left the one before.
struct Fork {
    Timeline timeline;
    Lsn at;
};

enum class Standing {
    seen,    // it has replayed the token's commit
    behind,  // not yet, as far as is known; its position may be compared with the token
    apart,   // its position says nothing about the token: another timeline, or one that is not known
    lost     // the commit is not in the history any more
};
// Of a standby which replays `timeline` and has come to `replay`. `forks`: the history, oldest first.
Standing standing(Token const& token, Timeline timeline, Lsn replay, std::vector<Fork> const& forks);

// What a read has to see: a commit, and what the session's reads have shown it before. Unset: nothing.
struct Seen {
    Token committed;
    Token shown;
    bool is_set() const { return committed.is_set() || shown.is_set(); }
    // Up to where a standby that is not `apart` has to have replayed.
    Lsn until() const { return std::max(committed.lsn, shown.lsn); }
};
// The worse one of both. What was shown and is lost was nobody's promise: only the primary can go on from there, so
// that every standby is `apart`.
Standing standing(Seen const& seen, Timeline timeline, Lsn replay, std::vector<Fork> const& forks);

}  // namespace keel::proxy
