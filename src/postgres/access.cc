#include "postgres/access.h"

#include <algorithm>

namespace keel::postgres {

namespace {
constexpr std::string_view kBegin = "# >>> written by pgkeel; edits in this block are lost\n";
constexpr std::string_view kEnd = "# <<< pgkeel; your own lines go below\n";
}  // namespace

std::string with_block(std::string_view text, std::string_view block) {
    std::string rest(text);
    for (;;) {
        auto const begin = rest.find(kBegin);
        auto const end = begin == std::string::npos ? begin : rest.find(kEnd, begin);
        if (end == std::string::npos) break;
        rest.erase(begin, end + kEnd.size() - begin);
    }
    std::string out(kBegin);
    out += block;
    if (!block.ends_with('\n')) out += '\n';
    return out.append(kEnd).append(rest);
}

std::string hba_block() {
    return "local    all              postgres,pgkeel_monitor                              peer map=pgkeel_local\n"
           "hostssl  replication      pgkeel_replicator                               all  cert map=pgkeel\n"
           "hostssl  postgres         pgkeel_rewind,pgkeel_monitor                    all  cert map=pgkeel\n"
           "host     all,replication  pgkeel_replicator,pgkeel_rewind,pgkeel_monitor  all  reject\n"
           "local    all,replication  pgkeel_replicator,pgkeel_rewind                      reject\n"
           "hostssl  all              +pgkeel_proxied                                all  cert map=pgkeel_proxied\n";
}

std::string ident_block(std::string const& os_user, std::set<NodeId> const& members,
                        std::set<std::string> const& proxied) {
    std::string out;
    // A node's certificate has its UUID as common name.
    for (auto const& member : members) {
        for (auto const* role : {"pgkeel_replicator", "pgkeel_rewind", "pgkeel_monitor"})
            out += "pgkeel        \"" + member.value + "\"  " + role + "\n";
        for (auto const& role : proxied) out += "pgkeel_proxied  \"" + member.value + "\"  \"" + role + "\"\n";
    }
    for (auto const* role : {"postgres", "pgkeel_monitor"}) out += "pgkeel_local  \"" + os_user + "\"  " + role + "\n";
    return out;
}

bool is_plain_name(std::string_view role) {
    // "/" begins a regular expression, even in quotes.
    return !role.empty() && !role.starts_with('/') && std::ranges::all_of(role, [](char c) {
        return static_cast<unsigned char>(c) >= 0x20 && c != '"' && c != '\\' && c != 0x7f;
    });
}

std::string hba_of_new_cluster() {
    return "# TYPE  DATABASE  USER  ADDRESS  METHOD\n"
           "local   all       all            peer\n"
           "host    all       all   all      scram-sha-256\n";
}

}  // namespace keel::postgres
