#include "web/proxies.h"

#include <algorithm>

#include "base/json.h"
#include "config/node_config.h"
#include "runtime/log.h"
#include "runtime/pki.h"
#include "web/access.h"
#include "web/actions.h"
#include "web/dashboard.h"
#include "web/token.h"

namespace keel::web {

namespace {

using cluster::Caller;
using cluster::Sight;
using runtime::HttpRequest;
using runtime::HttpResponse;
using runtime::Task;

template <class T>
HttpResponse answer(Result<T> const& made) {
    if (!made) return refuse(made.error());
    if constexpr (std::is_same_v<T, std::string>)
        return {200, "application/json", *made};
    else
        return {200, "application/json", json::write(*made)};
}

template <class T>
Result<T> body_of(HttpRequest const& request) {
    auto read = json::read<T>(request.body);
    if (!read)
        return fail(Code::invalid, "the body does not fit: " + read.error().text,
                    "send JSON, as the command line does");
    return read;
}

// Which proxy asks: empty for this node's own.
Result<NodeId> reader_of(Sight const& sight, HttpRequest const& request) {
    if (request.local) return NodeId{};
    if (!request.secure || request.peer_name.empty())
        return fail(Code::denied, request.path + " is for proxies", "connect to the proxy: port 6432");
    if (!sight.record)
        return fail(Code::unavailable, "this node does not know the cluster's record yet", "ask another member");
    NodeId const id{request.peer_name};
    if (sight.record->proxies.contains(id)) return id;
    if (sight.record->members.contains(id))
        return fail(Code::denied, request.path + " is for proxies", "each node's own asks through its Unix socket");
    return fail(Code::not_found, "this is no proxy host of the cluster, or not any more",
                "pgkeel proxy list shows them; to come back: pgkeel proxy join with an empty directory");
}

Task<Result<std::string>> sign_for(Desk const& desk, NodeId const& host, std::string const& request,
                                   std::string& authority_certificate) {
    auto const authority = co_await desk.authority();
    if (!authority) co_return fail(authority.error());
    if (authority->key.empty())
        co_return fail(Code::unavailable, "this node has no key of the cluster's authority",
                       "ask a data node to let the proxy host in");
    authority_certificate = authority->certificate;
    co_return runtime::sign_request({authority->certificate, authority->key}, request, {host, {}, true});
}

Task<HttpResponse> join(Desk const& desk, HttpRequest const& request) {
    if (!request.secure && !request.local)
        co_return refuse({Code::denied, "a join needs TLS", "use pgkeel proxy join, which does"});
    auto body = body_of<ProxyJoinRequest>(request);
    if (!body) co_return refuse(body.error());
    std::string const name = body->name;
    auto const admitted = co_await admit_proxy(desk, *std::move(body));
    if (admitted)
        runtime::log::info("api", "proxy host {} joined from {}", name, request.from);
    else
        runtime::log::warning("api", "join of a proxy host from {} refused: {}", request.from, admitted.error().text);
    co_return answer(admitted);
}

Task<HttpResponse> renew(Desk const& desk, HttpRequest const& request) {
    auto const reader = reader_of(desk.look(), request);
    if (!reader) co_return refuse(reader.error());
    if (reader->value.empty())
        co_return refuse({Code::invalid, "the node's own proxy has the node's certificate", "nothing is to be done"});
    auto const body = body_of<ProxyCertificateRequest>(request);
    if (!body) co_return refuse(body.error());
    std::string authority;
    auto made = co_await sign_for(desk, *reader, body->request, authority);
    if (!made) co_return refuse(made.error());
    runtime::log::info("certificate", "signed a new one for proxy host {}", reader->value);
    co_return answer(Result<ProxyCertificate>(ProxyCertificate{*std::move(made)}));
}

}  // namespace

Task<Result<ProxyJoinAnswer>> admit_proxy(Desk const& desk, ProxyJoinRequest request) {
    if (!config::is_name(request.name))
        co_return fail(Code::invalid, "\"" + request.name + "\" is not a name for a proxy host",
                       "use 1..63 of a-z, 0-9 and '-', beginning with a letter");
    if (request.host.value.size() != 36)
        co_return fail(Code::invalid, "the host's id is not a UUID", "pgkeel proxy join makes one");
    auto const sight = desk.look();
    if (!sight.record)
        co_return fail(Code::unavailable, "this node does not know the cluster's record yet", "ask another member");
    std::string authority;
    auto certificate = co_await sign_for(desk, request.host, request.request, authority);
    if (!certificate) co_return fail(certificate.error());
    Caller const caller{sight.self, "its token", sight.clock.unix_ms};
    auto const record = co_await desk.change(
        [hash = sha256_hex(request.secret), host = request.host, name = request.name, caller](cluster::Record& now) {
            if (auto status = cluster::consume_token(now, hash, cluster::Kind::proxy, caller); !status) return status;
            return cluster::add_proxy(now, host, name, caller);
        });
    if (!record) co_return fail(record.error());
    co_return ProxyJoinAnswer{*std::move(certificate), authority, record->name, record->cluster_id,
                              cluster::route_sources(*record)};
}

Task<HttpResponse> get_for_proxy(Desk const& desk, HttpRequest const& request) {
    auto const reader = reader_of(desk.look(), request);
    if (!reader) {
        runtime::log::info("api", "{} from {} refused: {}", request.path, request.from, reader.error().text);
        co_return refuse(reader.error());
    }
    if (request.path == "/proxy/routes") {
        HttpResponse response;
        response.content_type = "application/x-ndjson";
        response.stream = [&desk, who = *reader](runtime::HttpStream& out) { return desk.routes(out, who); };
        co_return response;
    }
    if (request.path == "/proxy/users") co_return answer(co_await desk.users(!reader->value.empty()));
    if (request.path == "/proxy/catalogue") {
        auto const value = [&](char const* key) {
            auto const found = request.query.find(key);
            return found == request.query.end() ? std::string() : found->second;
        };
        co_return answer(co_await desk.catalogue(value("database"), value("known")));
    }
    co_return refuse(
        {Code::not_found, "there is nothing at " + request.path, "/proxy/routes, /proxy/users, /proxy/catalogue"});
}

Task<HttpResponse> post_for_proxy(Desk const& desk, HttpRequest const& request) {
    if (request.path == "/proxy/join") co_return co_await join(desk, request);
    if (request.path == "/proxy/certificate") co_return co_await renew(desk, request);
    co_return refuse({Code::not_found, "there is nothing at " + request.path, "/proxy/join, /proxy/certificate"});
}

Task<Result<std::string>> show_proxies(Desk const& desk, HttpRequest const&) {
    auto const sight = desk.look();
    if (!sight.record)
        co_return fail(Code::unavailable, "this node does not know the cluster's record yet", "ask another member");
    std::vector<ProxyRow> rows;
    for (auto const& [id, host] : sight.record->proxies) rows.push_back({host.name, id, host.since_unix_ms});
    std::ranges::sort(rows, {}, &ProxyRow::name);
    co_return json::write(rows);
}

Task<Result<std::string>> drop_proxy(Desk const& desk, HttpRequest const& request) {
    auto const body = body_of<ProxyName>(request);
    if (!body) co_return fail(body.error());
    auto const sight = desk.look();
    auto const guest = identify(sight, request);
    Caller const caller{sight.self, guest ? guest->who : "nobody", sight.clock.unix_ms};
    auto const record = co_await desk.change(
        [name = body->name, caller](cluster::Record& now) { return cluster::remove_proxy(now, name, caller); });
    if (!record) co_return fail(record.error());
    co_return json::write(Done{"the proxy host is told nothing any more", record->revision, 0});
}

}  // namespace keel::web
