// What proxies are told, those of this node and those on hosts of applications; and how such a host joins, is renewed
// and goes.
#pragma once

#include "cluster/routes.h"
#include "web/api.h"

namespace keel::web {

// POST /proxy/join: like a join, but what comes out is no member.
struct ProxyJoinRequest {
    std::string secret;   // of the token
    std::string request;  // PKCS #10, PEM; its common name is the host's UUID
    NodeId host;
    std::string name;
};
BOOST_DESCRIBE_STRUCT(ProxyJoinRequest, (), (secret, request, host, name))
struct ProxyJoinAnswer {
    std::string certificate;  // PEM; for a client only
    std::string authority;    // ca.crt
    std::string cluster;      // its name
    std::string cluster_id;
    std::vector<cluster::RouteSource> sources;
};
BOOST_DESCRIBE_STRUCT(ProxyJoinAnswer, (), (certificate, authority, cluster, cluster_id, sources))
// Nothing is changed unless all is well; then the token has one use less.
runtime::Task<Result<ProxyJoinAnswer>> admit_proxy(Desk const& desk, ProxyJoinRequest request);

// POST /proxy/certificate, by a host that still has a good one.
struct ProxyCertificateRequest {
    std::string request;  // PKCS #10, PEM
};
BOOST_DESCRIBE_STRUCT(ProxyCertificateRequest, (), (request))
struct ProxyCertificate {
    std::string certificate;
};
BOOST_DESCRIBE_STRUCT(ProxyCertificate, (), (certificate))

// GET /proxies.
struct ProxyRow {
    std::string name;
    NodeId host;
    std::int64_t since_unix_ms = 0;
};
BOOST_DESCRIBE_STRUCT(ProxyRow, (), (name, host, since_unix_ms))
// POST /proxies/remove.
struct ProxyName {
    std::string name;
};
BOOST_DESCRIBE_STRUCT(ProxyName, (), (name))

// The routes below /proxy/: for this node's own proxy, through its Unix socket, and for proxy hosts, by their
// certificates. not_found: a certificate of the cluster whose holder is no proxy host (any more).
runtime::Task<runtime::HttpResponse> get_for_proxy(Desk const& desk, runtime::HttpRequest const& request);
runtime::Task<runtime::HttpResponse> post_for_proxy(Desk const& desk, runtime::HttpRequest const& request);

// For the table in actions.cc.
runtime::Task<Result<std::string>> show_proxies(Desk const& desk, runtime::HttpRequest const& request);
runtime::Task<Result<std::string>> drop_proxy(Desk const& desk, runtime::HttpRequest const& request);

}  // namespace keel::web
