#include "web/access.h"

#include <fmt/format.h>

#include "config/node_config.h"
#include "runtime/clock.h"
#include "runtime/pki.h"
#include "web/token.h"

namespace keel::web {

namespace {

constexpr std::string_view kBearer = "bearer ";

Error unknown_record() {
    return {Code::unavailable, "this node does not know the cluster's record yet", "ask another member"};
}

// The token of "Authorization: Bearer <token>" (RFC 6750, section 2.1; the scheme's case is free).
Result<Guest> by_token(cluster::Sight const& sight, runtime::HttpRequest const& request, std::string_view header) {
    bool bearer = header.size() > kBearer.size();
    for (std::size_t i = 0; bearer && i < kBearer.size(); ++i) bearer = (header[i] | 0x20) == kBearer[i];
    if (!bearer)
        return fail(Code::denied, "only bearer tokens are understood", "Authorization: Bearer <the access token>");
    if (!request.secure && !request.local)
        return fail(Code::denied, "an access token must not travel unencrypted; this one has been seen by others",
                    "use https, and replace it: pgkeel access remove, pgkeel access add");
    auto const token = parse_access_token(header.substr(kBearer.size()));
    if (!token) return fail(Code::denied, token.error().text, token.error().mend);
    if (!sight.record) return fail(unknown_record());
    KEEL_TRY(auto const access,
             cluster::find_access(*sight.record, sha256_hex(token->secret.reveal()), sight.clock.unix_ms));
    return Guest{access.role, "access token " + access.name};
}

}  // namespace

std::string role_text(cluster::Role role) { return boost::describe::enum_to_string(role, "?"); }

Result<Guest> identify(cluster::Sight const& sight, runtime::HttpRequest const& request) {
    if (auto const header = request.headers.find("authorization"); header != request.headers.end())
        return by_token(sight, request, header->second);
    if (!request.log_in.empty()) {
        if (!sight.record) return fail(unknown_record());
        KEEL_TRY(auto const access, cluster::find_access(*sight.record, request.log_in, sight.clock.unix_ms));
        return Guest{access.role, "access token " + access.name};
    }
    if (request.local) return Guest{cluster::Role::admin, "an operator on " + sight.name};
    if (request.secure && !request.peer_name.empty() && sight.record) {
        auto const member = sight.record->members.find(NodeId{request.peer_name});
        if (member != sight.record->members.end())
            return Guest{cluster::Role::admin, "an operator on " + member->second.name};
    }
    return fail(Code::denied, "who asks is not known here",
                "use pgkeel on a node, --host with the certificate of a member, or an access token (over TLS)");
}

Error lacks_role(Guest const& guest, cluster::Role needed, std::string const& path) {
    return {Code::denied,
            fmt::format("{} needs the role {}; {} has the role {}", path, role_text(needed), guest.who,
                        role_text(guest.role)),
            fmt::format("an administrator makes a token for it: pgkeel access add NAME --role {}", role_text(needed))};
}

runtime::Task<Result<AccessAnswer>> make_access(Desk const& desk, AccessRequest request, cluster::Caller caller) {
    constexpr std::int64_t kValidMost = 3650LL * 86400;
    constexpr std::size_t kSecretBytes = 32;
    if (!config::is_name(request.name))
        co_return fail(Code::invalid, "\"" + request.name + "\" is not a name for an access token",
                       "use 1..63 of a-z, 0-9 and '-', beginning with a letter");
    if (request.valid_s < 0 || request.valid_s > kValidMost)
        co_return fail(Code::invalid, "the token's life is not within 1 s and 10 years", "--expires 90d");
    auto const authority = co_await desk.authority();
    if (!authority) co_return fail(authority.error());
    auto const pin = runtime::fingerprint(authority->certificate);
    if (!pin) co_return fail(pin.error());
    TokenText const text{*pin, Secret(runtime::random_hex(kSecretBytes))};
    cluster::Access const access{request.name, sha256_hex(text.secret.reveal()), request.role,
                                 request.valid_s == 0 ? 0 : caller.unix_ms + request.valid_s * 1000, caller.who};
    auto const record = co_await desk.change(
        [access, caller](cluster::Record& now) { return cluster::add_access(now, access, caller); });
    if (!record) co_return fail(record.error());
    co_return AccessAnswer{to_access_text(text), access.expires_unix_ms};
}

}  // namespace keel::web
