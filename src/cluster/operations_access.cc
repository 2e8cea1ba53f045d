// Access tokens as edits of the record, and who a secret belongs to.
#include <fmt/format.h>

#include <algorithm>

#include "cluster/operations.h"

namespace keel::cluster {

namespace {

// Looks at every byte whatever the first ones are, so that the time taken tells nothing.
bool same_hash(std::string_view a, std::string_view b) {
    if (a.size() != b.size()) return false;
    unsigned different = 0;
    for (std::size_t i = 0; i < a.size(); ++i)
        different |= static_cast<unsigned char>(a[i]) ^ static_cast<unsigned char>(b[i]);
    return different == 0;
}

bool expired(Access const& access, std::int64_t unix_ms) {
    return access.expires_unix_ms != 0 && access.expires_unix_ms <= unix_ms;
}

}  // namespace

Status add_access(Record& record, Access const& access, Caller const& caller) {
    constexpr std::size_t kAccessMax = 64;
    if (access.sha256.size() != 64) return fail(Code::invalid, "the token's hash is not a SHA-256", "");
    if (expired(access, caller.unix_ms))
        return fail(Code::invalid, "the token would be expired at once", "name a longer life");
    // An expired one makes room for its successor of the same name.
    std::erase_if(record.access, [&](Access const& one) { return expired(one, caller.unix_ms); });
    if (std::ranges::find(record.access, access.name, &Access::name) != record.access.end())
        return fail(Code::conflict, fmt::format("there is an access token named {} already", access.name),
                    fmt::format("choose another name, or first: pgkeel access remove {}", access.name));
    if (record.access.size() >= kAccessMax)
        return fail(Code::exhausted, fmt::format("{} access tokens are valid already", kAccessMax),
                    "take some back: pgkeel access remove NAME");
    record.access.push_back(access);
    note(record, caller.node, caller.unix_ms, "access",
         fmt::format("access token {} with role {} made, by {}", access.name,
                     boost::describe::enum_to_string(access.role, "?"), caller.who));
    return {};
}

Status remove_access(Record& record, std::string const& name, Caller const& caller) {
    auto const found = std::ranges::find(record.access, name, &Access::name);
    if (found == record.access.end())
        return fail(Code::not_found, fmt::format("there is no access token named \"{}\"", name),
                    "`pgkeel access list` shows them");
    record.access.erase(found);
    note(record, caller.node, caller.unix_ms, "access",
         fmt::format("access token {} removed, by {}", name, caller.who));
    return {};
}

Result<Access> find_access(Record const& record, std::string_view sha256, std::int64_t unix_ms) {
    Access const* found = nullptr;
    for (auto const& one : record.access) {
        if (same_hash(one.sha256, sha256)) found = &one;
    }
    std::string const mend = "make one on a node: pgkeel access add NAME --role read|operate|admin";
    if (found == nullptr) return fail(Code::denied, "this access token is not known here, or was removed", mend);
    if (expired(*found, unix_ms))
        return fail(Code::denied, fmt::format("access token {} has expired", found->name), mend);
    return *found;
}

}  // namespace keel::cluster
