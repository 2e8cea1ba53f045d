#include "cluster/routes.h"

#include <fmt/format.h>

#include <algorithm>

namespace keel::cluster {

namespace {

constexpr int kSilentHeartbeats = 4;

// Empty when the record's leader is to be believed.
std::string leader_trouble(Sight const& sight, Record const& record) {
    if (record.phase == Phase::revoking) return fmt::format("epoch {} is electing a primary", record.epoch.value);
    if (record.leader.value.empty()) return "no primary reigns";
    auto const named = record.members.find(record.leader);
    std::string const name = named == record.members.end() ? record.leader.value : named->second.name;
    if (record.phase == Phase::promoting) return name + " is being promoted";
    if (record.handover && record.handover->at_unix_ms <= sight.clock.unix_ms) return "a switchover is under way";
    if (record.leader == sight.self) {
        if (sight.opinion.lease_deadline > sight.clock.now) return {};
        return name + " has no lease";
    }
    auto const peer = sight.peers.find(record.leader);
    auto const limit = timing(record.settings.profile).heartbeat * kSilentHeartbeats;
    if (peer == sight.peers.end() || sight.clock.now - peer->second.heard > limit)
        return fmt::format("{} has not been heard for {} ms", name, to_ms(limit));
    return {};
}

RouteNode node_of(Sight const& sight, Record const& record, NodeId const& id, Member const& member) {
    RouteNode out;
    out.id = id;
    out.name = member.name;
    out.postgres = member.postgres;
    out.api = member.api;
    out.tags = tag_words(member.tags);
    out.reads = !member.tags.noloadbalance && !member.tags.analytics && member.tags.delayed_s == 0;
    bool const heard_lately = [&] {
        auto const peer = sight.peers.find(id);
        auto const limit = timing(record.settings.profile).heartbeat * kSilentHeartbeats;
        return peer != sight.peers.end() && sight.clock.now - peer->second.heard <= limit;
    }();
    if (id == sight.self) {
        out.in_recovery = sight.seen.server == Server::recovery;
        out.standby = out.in_recovery && sight.seen.streaming;
        out.timeline = sight.seen.timeline;
        out.replay = sight.seen.replay;
        out.lag = sight.seen.replay_delay;
    } else if (heard_lately) {
        Heartbeat const& beat = sight.peers.at(id).last;
        out.in_recovery = beat.running && beat.in_recovery;
        out.standby = out.in_recovery && beat.streaming;
        out.timeline = beat.timeline;
        out.replay = beat.replay;
        out.lag = beat.replay_delay;
    }
    return out;
}

Lsn end_of_leader(Sight const& sight, NodeId const& leader) {
    if (leader == sight.self) return sight.seen.flush;
    auto const peer = sight.peers.find(leader);
    return peer == sight.peers.end() ? Lsn{} : peer->second.last.flush;
}

// The tags that say yes or no.
constexpr std::pair<char const*, bool Tags::*> kFlags[] = {{"nofailover", &Tags::nofailover},
                                                           {"nosync", &Tags::nosync},
                                                           {"noloadbalance", &Tags::noloadbalance},
                                                           {"spare", &Tags::spare},
                                                           {"analytics", &Tags::analytics}};
constexpr std::string_view kDelayed = "delayed", kDomain = "domain=";

}  // namespace

std::vector<std::string> tag_words(Tags const& tags) {
    std::vector<std::string> out;
    for (auto const& [word, flag] : kFlags) {
        if (tags.*flag) out.emplace_back(word);
    }
    if (tags.delayed_s > 0) out.emplace_back(kDelayed);
    if (!tags.domain.empty()) out.push_back(std::string(kDomain) + tags.domain);
    return out;
}

bool is_tag_word(std::string_view word) {
    if (word.starts_with(kDomain)) return word.size() > kDomain.size();
    return word == kDelayed || std::ranges::any_of(kFlags, [&](auto const& one) { return word == one.first; });
}

bool Routes::operator==(Routes const& other) const {
    auto const positions = [](RouteNode const& a, RouteNode const& b) {
        return a.replay == b.replay && a.lag_bytes == b.lag_bytes && a.lag == b.lag;
    };
    return same_but_positions(*this, other) && std::ranges::equal(nodes, other.nodes, positions);
}

bool same_but_positions(Routes const& a, Routes const& b) {
    auto const nodes = [](RouteNode const& x, RouteNode const& y) {
        return x.id == y.id && x.name == y.name && x.postgres == y.postgres && x.api == y.api &&
               x.in_recovery == y.in_recovery && x.standby == y.standby && x.reads == y.reads && x.tags == y.tags &&
               x.timeline == y.timeline;
    };
    auto const branches = [](RouteBranch const& x, RouteBranch const& y) {
        return x.epoch == y.epoch && x.timeline == y.timeline && x.fork == y.fork && x.first_xid == y.first_xid;
    };
    return a.cluster == b.cluster && a.revision == b.revision && a.epoch == b.epoch && a.self == b.self &&
           a.leader == b.leader && a.wait == b.wait && std::ranges::equal(a.nodes, b.nodes, nodes) &&
           std::ranges::equal(a.branches, b.branches, branches);
}

std::vector<RouteSource> route_sources(Record const& record) {
    std::vector<RouteSource> out;
    for (auto const& [id, member] : record.members) {
        if (member.kind == Kind::data && !member.api.empty()) out.push_back({id, member.name, member.api});
    }
    return out;
}

std::vector<RouteSource> route_sources(Routes const& routes) {
    std::vector<RouteSource> out;
    for (auto const& node : routes.nodes) {
        if (!node.api.empty()) out.push_back({node.id, node.name, node.api});
    }
    return out;
}

Routes routes_of(Sight const& sight) {
    Routes out;
    out.self = sight.self;
    if (!sight.record) {
        out.wait = "this node does not know its cluster's record yet";
        return out;
    }
    Record const& record = *sight.record;
    out.cluster = record.name;
    out.revision = record.revision;
    out.epoch = record.epoch;
    out.wait = leader_trouble(sight, record);
    // A leader that is only silent keeps what it has; it gets nothing new.
    if (record.phase == Phase::stable) out.leader = record.leader;
    Lsn const end = end_of_leader(sight, record.leader);
    for (auto const& [id, member] : record.members) {
        if (member.kind != Kind::data || member.postgres.empty()) continue;
        auto node = node_of(sight, record, id, member);
        if (node.in_recovery && end.value > node.replay.value) node.lag_bytes = end.value - node.replay.value;
        out.nodes.push_back(std::move(node));
    }
    for (auto const& branch : live_path(record.lineage))
        out.branches.push_back({branch.epoch, branch.timeline, branch.fork, branch.first_xid});
    return out;
}

}  // namespace keel::cluster
