// Join tokens as edits of the record.
#include <fmt/format.h>

#include <algorithm>

#include "cluster/operations.h"

namespace keel::cluster {

namespace {

// What a token of this kind lets in, and all that gets less: a witness has no data and no key of the authority, a proxy
// is no member.
int rank(Kind kind) { return kind == Kind::data ? 2 : kind == Kind::witness ? 1 : 0; }

std::string text_of(Kind kind) {
    return kind == Kind::data ? "data node" : kind == Kind::witness ? "witness" : "proxy host";
}

}  // namespace

void sweep_tokens(Record& record, std::int64_t unix_ms) {
    std::erase_if(record.tokens, [&](JoinToken const& t) { return t.expires_unix_ms <= unix_ms || t.uses_left == 0; });
}

Status add_token(Record& record, JoinToken const& token, Caller const& caller) {
    constexpr std::size_t kTokensMax = 32;
    sweep_tokens(record, caller.unix_ms);
    if (token.sha256.size() != 64 || token.id.empty())
        return fail(Code::invalid, "the token's hash is not a SHA-256", "");
    if (token.expires_unix_ms <= caller.unix_ms)
        return fail(Code::invalid, "the token would be expired at once", "name a longer life");
    if (token.uses_left == 0)
        return fail(Code::invalid, "the token could never be used", "let it have one use or more");
    if (record.tokens.size() >= kTokensMax)
        return fail(Code::exhausted, fmt::format("{} tokens are open already", kTokensMax),
                    "take some back: pgkeel token revoke <id>");
    record.tokens.push_back(token);
    note(record, caller.node, caller.unix_ms, "token",
         fmt::format("join token {} for a {} made, by {}", token.id, text_of(token.kind), caller.who));
    return {};
}

Status remove_token(Record& record, std::string const& id, Caller const& caller) {
    auto const found = std::ranges::find(record.tokens, id, &JoinToken::id);
    if (found == record.tokens.end())
        return fail(Code::not_found, fmt::format("there is no token {}", id),
                    "`pgkeel token list` shows the open ones");
    record.tokens.erase(found);
    note(record, caller.node, caller.unix_ms, "token", fmt::format("join token {} revoked, by {}", id, caller.who));
    return {};
}

Status consume_token(Record& record, std::string const& sha256, Kind kind, Caller const& caller) {
    auto const found = std::ranges::find(record.tokens, sha256, &JoinToken::sha256);
    std::string const mend = kind == Kind::data ? "make a new one on a member: pgkeel token create"
                                                : fmt::format("make a new one on a member: pgkeel token create --{}",
                                                              boost::describe::enum_to_string(kind, ""));
    if (found == record.tokens.end() || found->uses_left == 0)
        return fail(Code::denied, "this token is not known here, or was used up", mend);
    if (found->expires_unix_ms <= caller.unix_ms) return fail(Code::denied, "this token has expired", mend);
    if (rank(found->kind) < rank(kind))
        return fail(Code::denied, fmt::format("this token is for a {}", text_of(found->kind)),
                    fmt::format("pgkeel {}, or {}", found->kind == Kind::witness ? "witness" : "proxy join", mend));
    --found->uses_left;
    sweep_tokens(record, caller.unix_ms);
    return {};
}

}  // namespace keel::cluster
