// What the dashboard is told as it happens: a stream of server-sent events.
#pragma once

#include "cluster/vitals.h"
#include "web/access.h"

namespace keel::web {

// How late a standby is, taken apart, in seconds; what the server has not measured is not there.
struct Delay {
    std::optional<double> network, flush, apply;
    bool caught_up = false;
};
BOOST_DESCRIBE_STRUCT(Delay, (), (network, flush, apply, caught_up))

// The event "status".
struct Scene {
    cluster::ClusterStatus status;
    std::map<std::string, Delay> delays;             // by the member's name; known to the leader only
    std::map<std::string, double> failover_seconds;  // phases of the last change of leader that this node saw
    std::optional<cluster::Vitals> vitals;
    std::string who;
    cluster::Role role = cluster::Role::read;
};
BOOST_DESCRIBE_STRUCT(Scene, (), (status, delays, failover_seconds, vitals, who, role))

Scene scene_of(cluster::Sight const& sight, Counters const& counters, Guest const& guest);
// As text without what changes all the time (clocks, positions): when this changes, it is told at once.
std::string essence_of(Scene const& scene);

// "event: <name>\ndata: <json>\n\n": JSON has no line break.
std::string event_text(std::string const& name, std::string const& json);

// What a stream told last, so that it says everything once. Pure.
class Teller {
  public:
    // Events for a reader that was told all the earlier ones; empty: nothing new.
    std::string next(Scene scene, std::vector<cluster::HistoryEvent> const& history, Instant now);
    std::string next(alert::Listing listing);
    std::string next(std::vector<cluster::KeptBackup> const& kept);
    // Of this node's proxy, as JSON; empty: it is silent.
    std::string next_proxy(std::string glance);

  private:
    std::string essence_, alerts_, kept_;
    std::optional<std::string> proxy_;
    std::uint64_t history_ = 0;
    Instant told_;
};

inline constexpr Duration kLookEvery = 200ms;
inline constexpr Duration kTellEvery = 1s;

// Until the reader is gone or `guest` (who it is now) fails. Costs nothing when nobody reads.
runtime::Task<void> follow(Desk const& desk, runtime::HttpStream& out, std::string hello,
                           std::function<Result<Guest>(cluster::Sight const&)> guest);

}  // namespace keel::web
