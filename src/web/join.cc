#include "web/join.h"

#include <fmt/format.h>

#include "config/node_config.h"
#include "runtime/pki.h"
#include "web/token.h"

namespace keel::web {

namespace {

// "10.0.0.1:7432" or "[::1]:7432" without its port.
std::string host_of(std::string const& address) {
    auto const colon = address.rfind(':');
    std::string host = colon == std::string::npos ? address : address.substr(0, colon);
    if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
    return host;
}

Status check(JoinRequest const& request) {
    auto const& member = request.member;
    if (!config::is_name(member.name))
        return fail(Code::invalid, "\"" + member.name + "\" is not a name for a node",
                    "use 1..63 of a-z, 0-9 and '-', beginning with a letter");
    if (request.node.value.size() != 36)
        return fail(Code::invalid, "the node's id is not a UUID", "pgkeel join makes one");
    if (member.kind == cluster::Kind::proxy)
        return fail(Code::invalid, "a proxy host is no member", "use pgkeel proxy join");
    bool const data = member.kind == cluster::Kind::data;
    if (host_of(member.peer).empty() || host_of(member.api).empty() || host_of(member.postgres).empty() == data)
        return fail(Code::invalid, "an address of the node is missing", "name it with --address");
    return {};
}

// A restored copy has the same system identifier; a cluster that took over a repository has another of its own.
Status check_archive(JoinRequest const& request, cluster::Record const& record) {
    bool const fits = request.archive_owner.empty() ||
                      (request.archive_owner == record.cluster_id && request.archive_system == record.system_id);
    if (fits) return {};
    return fail(Code::conflict,
                fmt::format("the repository holds the archive of another cluster (its owner is {}), not of {} ({})",
                            request.archive_owner, record.name, record.cluster_id),
                "name this cluster's repository, as its nodes have it in the section [backup] of node.toml");
}

}  // namespace

runtime::Task<Result<JoinAnswer>> admit(Desk const& desk, JoinRequest request) {
    if (auto status = check(request); !status) co_return fail(std::move(status).error());
    auto const sight = desk.look();
    if (!sight.record)
        co_return fail(Code::unavailable, "this node does not know the cluster's record yet", "ask another member");
    cluster::Member member = request.member;
    member.broken.clear();
    member.leaving = false;
    std::string const hash = sha256_hex(request.secret);
    cluster::Caller const caller{sight.self, "its token", sight.clock.unix_ms};
    auto const edit = [hash, member, id = request.node, caller](cluster::Record& record) -> Status {
        if (auto status = cluster::consume_token(record, hash, member.kind, caller); !status) return status;
        return cluster::add_member(record, id, member, caller);
    };
    if (request.only_check || !request.archive_owner.empty()) {
        // First the token: who has none learns nothing of the archive.
        auto copy = *sight.record;
        if (auto status = edit(copy); !status) co_return fail(std::move(status).error());
        if (auto status = check_archive(request, *sight.record); !status) co_return fail(std::move(status).error());
    }
    if (request.only_check) co_return JoinAnswer{};
    auto const authority = co_await desk.authority();
    if (!authority) co_return fail(authority.error());
    if (authority->key.empty())
        co_return fail(Code::unavailable, "this node has no key of the cluster's authority",
                       "ask a data node to let the new one in");
    auto const certificate = runtime::sign_request({authority->certificate, authority->key}, request.request,
                                                   {request.node, {host_of(member.peer), host_of(member.api)}});
    if (!certificate) co_return fail(certificate.error());
    auto const record = co_await desk.change(edit);
    if (!record) co_return fail(record.error());
    bool const data = member.kind == cluster::Kind::data;
    co_return JoinAnswer{*certificate, authority->certificate, data ? authority->key.reveal() : std::string(), *record,
                         desk.store};
}

}  // namespace keel::web
