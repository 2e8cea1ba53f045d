#include "app/proxy_sources.h"

#include <algorithm>

#include "agent/local_state.h"
#include "postgres/place.h"
#include "runtime/clock.h"
#include "runtime/log.h"

namespace keel::app {

namespace {
constexpr Duration kDisownedFor = 5s;
}  // namespace

Result<Sources> Sources::open(config::NodeConfig const& config) {
    Sources out;
    out.directory_ = config.directory;
    out.socket_ = config.agent_socket();
    if (config.kind != cluster::Kind::proxy) return out;
    KEEL_TRY(out.known_, agent::read_sources(config.directory));
    KEEL_TRY(auto const identity, runtime::load_identity(config.directory + "/pki"));
    KEEL_TRY(out.tls_, runtime::client_mutual(identity));
    // Not all hosts of a cluster to the same node.
    out.at_ = static_cast<std::size_t>(runtime::random_u64() % out.known_.size());
    return out;
}

std::string Sources::name() const { return own_node() ? "the agent" : known_[at_].name; }

runtime::HttpTarget Sources::target() const {
    if (own_node()) return runtime::HttpTarget::local(socket_);
    auto const& one = known_[at_];
    auto const place = postgres::parse_endpoint(one.api, config::kApiPort);
    auto out = runtime::HttpTarget::secure(place.host, place.port, tls_);
    // Nobody else with a certificate of the cluster.
    out.expected_peer = one.id.value;
    return out;
}

void Sources::next() { at_ = own_node() ? 0 : (at_ + 1) % known_.size(); }

void Sources::learn(cluster::Routes const& routes) {
    if (own_node()) return;
    auto next = cluster::route_sources(routes);
    if (next.empty() || next == known_) return;
    auto const now = known_[at_].id;
    known_ = std::move(next);
    auto const found = std::ranges::find(known_, now, &cluster::RouteSource::id);
    at_ = found == known_.end() ? 0 : static_cast<std::size_t>(found - known_.begin());
    if (auto const status = agent::write_sources(directory_, known_); !status)
        runtime::log::warning("proxy", "the cluster's nodes are not noted: {}", to_string(status.error()));
}

bool Sources::disowned() {
    if (own_node()) return false;
    auto const now = runtime::boot_now();
    if (disowned_by_.empty()) disowned_since_ = now;
    disowned_by_.insert(known_[at_].id);
    return disowned_by_.size() >= cluster::majority(known_.size()) && now - disowned_since_ >= kDisownedFor;
}

}  // namespace keel::app
