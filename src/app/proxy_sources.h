// Whom a proxy listens to: the agent of its own node or, on an application's host, any of the cluster's data nodes.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "cluster/routes.h"
#include "config/node_config.h"
#include "runtime/http.h"

namespace keel::app {

class Sources {
  public:
    // Errors of a proxy host: not_found (it has not joined), and what is wrong with its certificate.
    static Result<Sources> open(config::NodeConfig const& config);

    // This node's agent is the only one.
    bool own_node() const { return known_.empty(); }
    std::size_t size() const { return own_node() ? 1 : known_.size(); }
    std::string name() const;  // of the present one, for the log
    runtime::HttpTarget target() const;
    // The present one is of no use now: the next one.
    void next();
    // Members come and go: those of the routes are the known ones from now on, on disk too.
    void learn(cluster::Routes const& routes);
    void set_identity(runtime::TlsContext tls) { tls_ = std::move(tls); }

    // The present one says that this host is none of the cluster's. True when most of them have said so, and nothing
    // else, for a while: one alone may not have heard of it yet.
    bool disowned();
    void accepted() { disowned_by_.clear(); }

  private:
    Sources() = default;
    std::string directory_, socket_;
    std::vector<cluster::RouteSource> known_;
    std::size_t at_ = 0;
    runtime::TlsContext tls_;
    std::set<NodeId> disowned_by_;
    Instant disowned_since_{};
};

}  // namespace keel::app
