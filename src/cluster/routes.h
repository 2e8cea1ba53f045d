// Where a proxy may send work: what one agent knows of leadership and members, as data that it pushes to proxies.
#pragma once

#include "cluster/status.h"

namespace keel::cluster {

struct RouteNode {
    NodeId id;
    std::string name;
    std::string postgres;           // host:port
    bool in_recovery = false;       // is heard, and its server takes reads
    bool standby = false;           // and streams
    bool reads = true;              // false: tagged noloadbalance, analytics or delayed
    std::vector<std::string> tags;  // as tag_words() has them: for endpoints of their own
    Timeline timeline;
    Lsn replay;
    std::uint64_t lag_bytes = 0;  // of replay behind the leader's WAL; standbys only
    Duration lag{-1};             // age of the last replayed commit while it lags; -1: not known
    std::string api;              // host:port: who may be asked instead of this agent
};
BOOST_DESCRIBE_STRUCT(RouteNode, (),
                      (id, name, postgres, in_recovery, standby, reads, tags, timeline, replay, lag_bytes, lag, api))

// A change of leadership, and the xid below which everything was decided before the new leader's first own transaction.
struct RouteBranch {
    Epoch epoch;
    Timeline timeline;
    Lsn fork;
    std::uint64_t first_xid = 0;  // 0: not known
};
BOOST_DESCRIBE_STRUCT(RouteBranch, (), (epoch, timeline, fork, first_xid))

struct Routes {
    std::string cluster;
    std::uint64_t revision = 0;
    Epoch epoch;
    NodeId self;
    NodeId leader;     // empty: no valid leader is known
    std::string wait;  // why new work has to wait; empty: it need not
    std::vector<RouteNode> nodes;
    std::vector<RouteBranch> branches;  // live ones, oldest first
    bool operator==(Routes const& other) const;
};
BOOST_DESCRIBE_STRUCT(Routes, (), (cluster, revision, epoch, self, leader, wait, nodes, branches))

// A data node, as a proxy on another host knows it: whom to listen to.
struct RouteSource {
    NodeId id;
    std::string name;
    std::string api;  // host:port
    bool operator==(RouteSource const&) const = default;
};
BOOST_DESCRIBE_STRUCT(RouteSource, (), (id, name, api))
std::vector<RouteSource> route_sources(Record const& record);
std::vector<RouteSource> route_sources(Routes const& routes);

// The tags that a member has, each as one word: "analytics", "domain=east".
std::vector<std::string> tag_words(Tags const& tags);
// Whether some member could have it.
bool is_tag_word(std::string_view word);

Routes routes_of(Sight const& sight);
// Equal but for positions and lags: a change of these may be told later.
bool same_but_positions(Routes const& a, Routes const& b);

}  // namespace keel::cluster
