#include "agent/membership.h"

#include "agent/local_state.h"
#include "runtime/blocking.h"
#include "runtime/log.h"
#include "runtime/scope.h"

namespace keel::agent {

namespace {

constexpr Duration kStrangerFor = 5s;

std::map<NodeId, std::string> addresses_of(cluster::Record const& record, NodeId const& self) {
    std::map<NodeId, std::string> out;
    for (auto const& [id, member] : record.members) {
        if (id != self) out[id] = member.peer;
    }
    return out;
}

}  // namespace

std::string Membership::name_of(NodeId const& id) const {
    auto const found = names_.find(id);
    return found == names_.end() || found->second.empty() ? id.value : found->second;
}

bool Membership::changed_by(cluster::Record const& record) const {
    if (record.members.size() != names_.size()) return true;
    return addresses_of(record, self_) != addresses_;
}

bool Membership::disowned_by(NodeId const& peer, Instant now, cluster::Record const& record) {
    disowned_.try_emplace(peer, now);
    std::size_t others = 0, against = 0;
    for (auto const& voter : record.voters) {
        if (voter == self_) continue;
        ++others;
        auto const found = disowned_.find(voter);
        if (found != disowned_.end() && now - found->second >= kStrangerFor) ++against;
    }
    return others > 0 && against >= cluster::majority(others);
}

std::map<NodeId, std::string> const& Membership::adopt(cluster::Record const& record) {
    names_.clear();
    for (auto const& [id, member] : record.members) names_[id] = member.name;
    addresses_ = addresses_of(record, self_);
    scope_->spawn("known record", [this, record]() -> runtime::Task<void> {
        auto const status =
            co_await runtime::run_blocking(*disk_, [&] { return write_known_record(directory_, record); });
        if (!status) runtime::log::warning("agent", "{}", to_string(status.error()));
    });
    return addresses_;
}

}  // namespace keel::agent
