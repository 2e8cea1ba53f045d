#include "cluster/election.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "cluster/sync.h"

namespace keel::cluster {

namespace {

bool forced(Record const& record) { return record.handover && record.handover->accept_data_loss; }

std::string name_of(Record const& record, NodeId const& id) {
    auto const found = record.members.find(id);
    return found == record.members.end() || found->second.name.empty() ? id.value : found->second.name;
}

std::string names_of(Record const& record, std::set<NodeId> const& ids) {
    std::string text;
    for (auto const& id : ids) text += (text.empty() ? "" : ", ") + name_of(record, id);
    return text.empty() ? "nobody" : text;
}

// WAL of a promotion that was never confirmed counts, whoever has it: a fenced node may have fetched it from another.
bool sound_lineage(Record const& record, Grant const& grant) {
    return is_ancestor(record.lineage, grant.timeline, grant.flush, true);
}

// A candidate that could be told to promote at once.
bool candidate(Record const& record, NodeId const& id, Grant const& grant) {
    auto const member = record.members.find(id);
    return member != record.members.end() && grant.fenced && grant.whole && grant.in_recovery &&
           may_be_promoted(member->second) && sound_lineage(record, grant);
}

// Smaller is better; only among candidates of the same position.
auto preference(Record const& record, NodeId const& id, Grant const& grant) {
    auto const& member = record.members.at(id);
    bool const target = record.handover && record.handover->target == id;
    // One that was asked to leave is better than none, like a broken one, or one whose disk is in trouble.
    bool const doubtful = !member.broken.empty() || member.leaving || grant.disk != Disk::sound;
    // What took the old leader may take its rack, too.
    auto const old = record.members.find(record.sync.owner);
    bool const near = old != record.members.end() && id != old->first && !member.tags.domain.empty() &&
                      member.tags.domain == old->second.tags.domain;
    return std::tuple(!target, doubtful, -member.tags.priority, near, id);
}

}  // namespace

bool sync_eligible(Member const& member) {
    return member.kind == Kind::data && !member.tags.nosync && !member.tags.spare && member.tags.delayed_s == 0 &&
           !member.leaving;
}

bool may_be_promoted(Member const& member) {
    return member.kind == Kind::data && !member.tags.nofailover && member.tags.delayed_s == 0;
}

bool promises_are_firm(Record const& record) {
    return record.sync.mode == Mode::async || record.sync.members.contains(record.sync.owner);
}

Position position_of(Grant const& grant, Record const& record) {
    return {epoch_of(record.lineage, grant.timeline).value_or(Epoch{}), grant.flush};
}

Tally tally(Record const& record, Ballot const& ballot) {
    Tally out;
    std::size_t votes = 0;
    std::size_t fenced = 0;
    std::optional<Position> owner;
    for (auto const& [id, grant] : ballot.grants) {
        if (record.voters.contains(id) && grant.vote) ++votes;
        if (!grant.fenced || !grant.whole || !sound_lineage(record, grant)) continue;
        // The owner alone is full coverage: nothing was acknowledged that its own WAL has not.
        if (id == record.sync.owner) owner = position_of(grant, record);
        if (!record.sync.members.contains(id)) continue;
        ++fenced;
        out.safe = std::max(out.safe, position_of(grant, record));
    }
    for (auto const& id : record.sync.members) {
        auto const found = ballot.grants.find(id);
        if (found == ballot.grants.end() || !found->second.fenced || !found->second.whole) out.missing.insert(id);
    }
    out.majority = votes >= majority(record.voters.size());
    out.covered = fenced >= fenced_needed(record.sync) || (ballot.mutation == Mutation::no_coverage && fenced > 0);
    if (!out.covered && owner) {
        out.covered = true;
        out.safe = *owner;
    }
    return out;
}

Choice choose(Record const& record, Ballot const& ballot) {
    Tally count = tally(record, ballot);
    if (ballot.mutation == Mutation::compare_lsn_only) count.safe.epoch = {};
    if (!count.majority) return {{}, "no majority of voters is free to elect", false};
    bool const async = record.sync.mode == Mode::async;
    if (!count.covered && !async && !forced(record)) {
        return {{},
                "blocked: nobody here is known to have every acknowledged commit; waiting for " +
                    names_of(record, count.missing),
                false};
    }
    auto const position = [&](Grant const& grant) {
        Position at = position_of(grant, record);
        if (ballot.mutation == Mutation::compare_lsn_only) at.epoch = {};
        return at;
    };
    Position best;
    for (auto const& [id, grant] : ballot.grants) {
        if (candidate(record, id, grant)) best = std::max(best, position(grant));
    }
    bool const loses = !count.covered && !async;
    if (best.lsn == Lsn{}) return {{}, "no standby is up that may be promoted", false};
    if (count.covered && !forced(record) && !async && best < count.safe) {
        return {{}, "blocked: the node with the newest WAL may not be promoted or is not up yet", false};
    }
    if (async && !forced(record) &&
        ballot.last_known_flush.value > best.lsn.value + record.settings.failover_lag_bytes_max) {
        return {{}, "blocked: the best standby lacks more than failover_lag_bytes_max", false};
    }
    NodeId winner;
    for (auto const& [id, grant] : ballot.grants) {
        if (!candidate(record, id, grant) || position(grant) != best) continue;
        if (winner.value.empty() ||
            preference(record, id, grant) < preference(record, winner, ballot.grants.at(winner)))
            winner = id;
    }
    return {winner,
            fmt::format("{} has the newest WAL of all fenced nodes ({} of epoch {})", name_of(record, winner),
                        to_string(best.lsn), best.epoch.value),
            loses};
}

std::optional<CatchUpPlan> plan_catch_up(Record const& record, Ballot const& ballot) {
    Tally const count = tally(record, ballot);
    bool const may_elect = count.majority && (count.covered || record.sync.mode == Mode::async);
    if (!may_elect || forced(record)) return std::nullopt;
    NodeId holder, wanted;
    for (auto const& [id, grant] : ballot.grants) {
        bool const source = grant.fenced && grant.whole && grant.in_recovery && sound_lineage(record, grant);
        auto const better = [&](NodeId const& than) {
            return position_of(grant, record) > position_of(ballot.grants.at(than), record);
        };
        if (source && (holder.value.empty() || better(holder))) holder = id;
        if (!candidate(record, id, grant)) continue;
        if (wanted.value.empty() ||
            preference(record, id, grant) < preference(record, wanted, ballot.grants.at(wanted)))
            wanted = id;
    }
    if (wanted.value.empty() || wanted == holder) return std::nullopt;
    Grant const& most = ballot.grants.at(holder);
    if (position_of(ballot.grants.at(wanted), record) >= position_of(most, record)) return std::nullopt;
    bool const needed = !candidate(record, holder, most);
    auto const rank = [&](NodeId const& id) {  // what is worth a wait; the id is not
        auto const [target, doubtful, priority, near, unused] = preference(record, id, ballot.grants.at(id));
        return std::tuple(target, doubtful, priority);
    };
    if (!needed && rank(wanted) >= rank(holder)) return std::nullopt;
    return CatchUpPlan{wanted, {record.epoch, holder, most.flush}, needed};
}

SyncSet sync_after(Record const& record, Ballot const& ballot, NodeId const& winner) {
    SyncSet out{record.sync.mode, {}, 1, winner};
    Position const position = position_of(ballot.grants.at(winner), record);
    for (auto const& [id, grant] : ballot.grants) {
        auto const member = record.members.find(id);
        if (id == winner || member == record.members.end() || !sync_eligible(member->second)) continue;
        if (grant.fenced && grant.whole && grant.in_recovery && sound_lineage(record, grant) &&
            position_of(grant, record) >= position) {
            out.members.insert(id);
        }
    }
    if (out.members.empty() || out.mode == Mode::async) {
        out.members = {winner};
        return out;
    }
    out.quorum = std::min<std::uint32_t>(record.settings.quorum, static_cast<std::uint32_t>(out.members.size()));
    return out;
}

Names names_at_promotion(Record const& record, NodeId const& leader) {
    Names const recorded = names_for(record.sync, leader);
    if (record.sync.mode != Mode::strict) return recorded;
    // Strict waits for W standbys from the first commit on, and whatever the record promises stays covered.
    Names all{record.settings.quorum, record.sync.members};
    all.members.erase(leader);
    for (auto const& [id, member] : record.members) {
        if (id != leader && sync_eligible(member)) all.members.insert(id);
    }
    if (recorded.count > 0) {
        auto const strangers = static_cast<std::uint32_t>(all.members.size() - recorded.members.size());
        all.count = std::max(all.count, recorded.count + strangers);
    }
    return all.members.empty() ? Names{} : all;
}

Prospect prospect(Record const& record, std::set<NodeId> const& alive, std::set<NodeId> const& promotable) {
    std::size_t voters = 0;
    for (auto const& id : record.voters) voters += alive.contains(id) ? 1U : 0U;
    if (voters < majority(record.voters.size())) {
        return {false,
                fmt::format("only {} of {} voters are heard: another primary may live", voters, record.voters.size())};
    }
    bool const anybody = std::ranges::any_of(promotable, [&](NodeId const& id) {
        auto const member = record.members.find(id);
        return member != record.members.end() && may_be_promoted(member->second);
    });
    if (!anybody) return {false, "no standby is up that may be promoted"};
    if (record.sync.mode == Mode::async || forced(record) || alive.contains(record.sync.owner)) return {true, ""};
    std::size_t members = 0;
    std::set<NodeId> missing;
    for (auto const& id : record.sync.members) {
        if (promotable.contains(id))
            ++members;
        else
            missing.insert(id);
    }
    if (members >= fenced_needed(record.sync)) return {true, ""};
    return {false, "blocked: promoting now could lose acknowledged commits; waiting for " + names_of(record, missing)};
}

}  // namespace keel::cluster
