#include "web/health.h"

#include <fmt/format.h>

#include "config/size.h"

namespace keel::web {

namespace {

using cluster::Server;
using cluster::Sight;
using cluster::State;
using Query = std::map<std::string, std::string>;

cluster::Member const* own_member(Sight const& sight) {
    if (!sight.record) return nullptr;
    auto const found = sight.record->members.find(sight.self);
    return found == sight.record->members.end() ? nullptr : &found->second;
}

bool is_leader(Sight const& sight) {
    return sight.record && sight.record->leader == sight.self && sight.opinion.lease_deadline > sight.clock.now &&
           sight.seen.server == Server::primary && sight.opinion.state == State::primary;
}

Health leader(Sight const& sight) {
    return is_leader(sight) ? Health{true, "leads with the lease"}
                            : Health{false, "does not lead: " + sight.opinion.reason};
}

// Behind the leader's last known WAL; empty when the leader is not heard.
std::optional<std::uint64_t> lag_bytes(Sight const& sight) {
    auto const found = sight.peers.find(sight.record->leader);
    if (found == sight.peers.end()) return std::nullopt;
    Lsn const leader_flush = found->second.last.flush;
    return leader_flush > sight.seen.replay ? leader_flush.value - sight.seen.replay.value : 0;
}

Health standby(Sight const& sight, Query const& query) {
    cluster::Member const* member = own_member(sight);
    if (member == nullptr) return {false, "is not a member of a cluster"};
    if (sight.seen.server != Server::recovery || sight.opinion.state != State::standby)
        return {false, "is not a running standby: " + sight.opinion.reason};
    if (member->tags.noloadbalance) return {false, "has the tag noloadbalance"};
    auto const asked = query.find("lag");
    if (asked == query.end()) return {true, "is a running standby"};
    auto const limit = config::parse_size(asked->second);
    if (!limit) return {false, fmt::format("lag={} is no size such as 10MB", asked->second)};
    auto const behind = lag_bytes(sight);
    if (!behind) return {false, "does not know how far it is behind: the leader is not heard"};
    if (*behind > *limit) return {false, fmt::format("is {} bytes behind", *behind)};
    return {true, fmt::format("is a standby, {} bytes behind", *behind)};
}

bool in_sync_set(Sight const& sight) {
    return sight.record && sight.record->sync.members.contains(sight.self) && sight.record->sync.owner != sight.self &&
           sight.record->sync.mode != cluster::Mode::async;
}

Health sync(Sight const& sight, Query const& query, bool wanted) {
    Health out = standby(sight, query);
    if (out.good && in_sync_set(sight) != wanted)
        return {false, wanted ? "is not in the sync set" : "is in the sync set"};
    return out;
}

Health analytics(Sight const& sight, Query const& query) {
    cluster::Member const* member = own_member(sight);
    if (member == nullptr || !member->tags.analytics) return {false, "has not the tag analytics"};
    return standby(sight, query);
}

// Applications' standbys; the one for reports has an endpoint of its own.
Health replica(Sight const& sight, Query const& query) {
    cluster::Member const* member = own_member(sight);
    if (member != nullptr && member->tags.analytics) return {false, "is for reports: /analytics"};
    return standby(sight, query);
}

Health server_up(Sight const& sight) {
    bool const witness = own_member(sight) != nullptr && own_member(sight)->kind == cluster::Kind::witness;
    bool const up = sight.seen.server == Server::primary || sight.seen.server == Server::recovery;
    if (witness) return {true, "votes, has no PostgreSQL"};
    return up ? Health{true, "PostgreSQL is up"} : Health{false, "PostgreSQL is not up: " + sight.opinion.reason};
}

Health ready(Sight const& sight) {
    Health const up = server_up(sight);
    if (!up.good || is_leader(sight)) return up;
    if (sight.opinion.state == State::witness) return up;
    if (sight.opinion.state == State::standby && sight.seen.streaming) return {true, "streams"};
    return {false, "is not ready: " + sight.opinion.reason};
}

}  // namespace

std::optional<Health> health_of(std::string const& path, Query const& query, Sight const& sight) {
    if (path == "/" || path == "/primary" || path == "/leader" || path == "/master" || path == "/read-write")
        return leader(sight);
    if (path == "/replica") return replica(sight, query);
    if (path == "/read-only") {
        Health const first = leader(sight);
        return first.good ? first : replica(sight, query);
    }
    if (path == "/sync" || path == "/synchronous" || path == "/quorum") return sync(sight, query, true);
    if (path == "/async" || path == "/asynchronous") return sync(sight, query, false);
    if (path == "/analytics") return analytics(sight, query);
    if (path == "/health") return server_up(sight);
    if (path == "/liveness") return Health{true, "the agent answers"};
    if (path == "/readiness") return ready(sight);
    return std::nullopt;
}

}  // namespace keel::web
