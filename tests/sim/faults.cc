#include "faults.h"

#include "world.h"

namespace keel::sim {

using cluster::Record;

template <class Undo>
void Faults::later(Time span, Undo undo) {
    world_.scheduler.after(span, [this, era = era_, undo] {
        if (era == era_) undo();
    });
}

void Faults::begin() {
    if (world_.plan.faults != 0) next();
    if (world_.plan.defect == Defect::wall_clock_lease) {
        for (int node = 0; node < world_.size(); ++node) step_clock(node);
    }
}

// The defect "lease on wall clock": what the machine takes for a steady clock is set by hand now and then.
void Faults::step_clock(int node) {
    later(world_.rng.between(300, 6000) * kMs, [this, node] {
        Time const by = world_.rng.between(-5000, 5000) * kMs;
        SIM_TELL(world_, "n{}'s clock steps by {} ms", node, by / kMs);
        world_.host(node).clock().step(world_.scheduler.now(), by);
        step_clock(node);
    });
}

void Faults::next() {
    Rng& rng = world_.rng;
    later(rng.between(1, 2 * world_.plan.fault_interval), [this] {
        int fault = world_.rng.pick(kFaults);
        while (!world_.plan.has(static_cast<Fault>(fault))) fault = (fault + 1) % kFaults;
        ++world_.counts.faults[fault];
        cause(static_cast<Fault>(fault));
        next();
    });
}

// The leader, mostly: there the trouble is.
int Faults::victim() {
    if (world_.rng.chance(0.5)) {
        if (int const leader = world_.index(world_.store->truth()->leader); leader >= 0) return leader;
    }
    return world_.rng.pick(world_.size());
}

int Faults::data_victim() {
    int const node = victim();
    return world_.host(node).data() ? node : 0;
}

void Faults::cause(Fault fault) {
    switch (fault) {
        case Fault::agent_crash:
        case Fault::agent_pause:
        case Fault::machine_crash:
        case Fault::machine_pause:
        case Fault::blind_pause:
            return on_machine(fault, victim());
        case Fault::power_loss:
            SIM_TELL(world_, "fault: power loss of all");
            for (int node = 0; node < world_.size(); ++node) {
                world_.host(node).power_off();
                later(world_.rng.between(100, 4000) * kMs, [this, node] { world_.host(node).power_on(); });
            }
            return;
        case Fault::postmaster_crash:
        case Fault::postgres_pause:
        case Fault::slow_fsync:
        case Fault::slow_promotion:
        case Fault::stuck_receiver:
        case Fault::disk_full:
        case Fault::disk_stall:
        case Fault::disk_tight:
            return on_disk(fault, data_victim());
        case Fault::partition:
        case Fault::isolate:
        case Fault::one_way:
        case Fault::wal_cut:
        case Fault::peer_cut:
        case Fault::store_cut:
        case Fault::lossy_network:
        case Fault::late_network:
            return on_network(fault);
        default:
            return by_operator(fault);
    }
}

void Faults::on_machine(Fault fault, int node) {
    Rng& rng = world_.rng;
    Host& host = world_.host(node);
    SIM_TELL(world_, "fault: {} of n{}", name_of(fault), node);
    switch (fault) {
        case Fault::agent_crash:
            host.crash_agent();
            later(rng.between(20 * kMs, world_.plan.restart_max), [this, node] { world_.host(node).start_agent(); });
            break;
        case Fault::agent_pause:
            host.pause_agent();
            later(rng.between(50, 5000) * kMs, [this, node] { world_.host(node).resume_agent(); });
            break;
        case Fault::machine_crash:
            host.power_off();
            later(rng.between(200, 10000) * kMs, [this, node] { world_.host(node).power_on(); });
            break;
        default:
            host.pause_machine(fault == Fault::blind_pause);
            later(rng.between(50, 6000) * kMs, [this, node] { world_.host(node).resume_machine(); });
            break;
    }
}

void Faults::on_disk(Fault fault, int node) {
    Rng& rng = world_.rng;
    Host& host = world_.host(node);
    PostgresModel& pg = host.postgres;
    SIM_TELL(world_, "fault: {} at n{}", name_of(fault), node);
    Time const span = rng.between(200, 8000) * kMs;
    switch (fault) {
        case Fault::postmaster_crash:
            pg.postmaster_dies(rng.chance(0.7) ? rng.between(8, 15) * kMs : rng.between(500, 3200) * kMs);
            host.observe_soon(rng.between(4, 11) * kMs);
            break;
        case Fault::postgres_pause:
            if (host.machine_paused()) break;
            pg.pause();
            later(span, [this, node] {
                if (!world_.host(node).machine_paused()) world_.host(node).postgres.resume();
            });
            break;
        case Fault::slow_fsync:
            pg.fsync_factor = rng.chance(0.5) ? 50 : 2000;
            later(span, [&pg] { pg.fsync_factor = 1; });
            break;
        case Fault::slow_promotion:
            pg.promote_extra = rng.between(500, 20000) * kMs;
            later(2 * span, [&pg] { pg.promote_extra = 0; });
            break;
        case Fault::stuck_receiver:
            pg.receiver_sticks = true;
            later(2 * span, [&pg] { pg.receiver_sticks = false; });
            break;
        case Fault::disk_stall:
            host.stall_disk();
            later(2 * span, [&host] { host.unstall_disk(); });
            break;
        case Fault::disk_tight:
            host.disk_tight = true;
            later(2 * span, [&host] { host.disk_tight = false; });
            break;
        default:
            host.disk_full = true;
            later(span, [&host] { host.disk_full = false; });
            break;
    }
}

void Faults::on_network(Fault fault) {
    Rng& rng = world_.rng;
    Time const span = rng.between(200, 9000) * kMs;
    if (fault == Fault::lossy_network || fault == Fault::late_network) {
        SIM_TELL(world_, "fault: {}", name_of(fault));
        auto& knob = fault == Fault::lossy_network ? world_.network.loss : world_.network.late;
        knob = 0.3;
        double const before = fault == Fault::lossy_network ? world_.plan.loss : world_.plan.late;
        later(span, [&knob, before] { knob = before; });
        return;
    }
    struct Cut {
        Traffic kind;
        int from, to;
    };
    std::vector<Cut> cuts;
    auto const both = [&](Traffic kind, int a, int b) {
        cuts.push_back({kind, a, b});
        cuts.push_back({kind, b, a});
    };
    int const node = victim();
    int const size = world_.size();
    unsigned const side = 1 + static_cast<unsigned>(rng.pick((1 << size) - 1));
    for (int a = 0; a < size; ++a) {
        if (fault == Fault::isolate && a != node) {
            both(Traffic::peer, a, node);
            both(Traffic::wal, a, node);
        }
        if (fault == Fault::one_way && a != node) {
            int const from = (side & 1U) != 0 ? a : node;
            int const to = from == a ? node : a;
            if ((side & 2U) != 0 || rng.chance(0.5)) cuts.push_back({Traffic::peer, from, to});
            cuts.push_back({Traffic::wal, from, to});
        }
        if (fault == Fault::wal_cut && a != node && rng.chance(0.6)) both(Traffic::wal, a, node);
        if (fault == Fault::peer_cut && a != node && rng.chance(0.8)) both(Traffic::peer, a, node);
        if (fault != Fault::partition) continue;
        for (int b = a + 1; b < size; ++b) {
            if ((side >> static_cast<unsigned>(a) & 1U) == (side >> static_cast<unsigned>(b) & 1U)) continue;
            both(Traffic::peer, a, b);
            both(Traffic::wal, a, b);
        }
    }
    bool const store_too =
        fault == Fault::store_cut || ((fault == Fault::isolate || fault == Fault::one_way) && rng.chance(0.7));
    if (store_too) cuts.push_back({Traffic::store, node, (node + 1) % size});
    if (fault == Fault::store_cut && rng.chance(0.3)) {
        for (int a = 0; a < size; ++a) cuts.push_back({Traffic::store, a, (a + 1) % size});
    }
    SIM_TELL(world_, "fault: {} at n{} (sides {:#b}, {} cuts)", name_of(fault), node, side, cuts.size());
    for (auto const& cut : cuts) world_.network.cut(cut.kind, cut.from, cut.to);
    later(span, [this, cuts] {
        SIM_TELL(world_, "heals: {} cuts", cuts.size());
        for (auto const& cut : cuts) world_.network.heal(cut.kind, cut.from, cut.to);
    });
}

// ---- the operator
// ---------------------------------------------------------------------------------------------------------

// Through some node's agent, as the commands do: that agent knows of the new record, the others hear of it from its
// machine.
void Faults::edit_record(Edit edit, int attempts) {
    auto next = std::make_shared<Record>(*world_.store->truth());
    if (!edit(*next)) return;
    std::uint64_t const expected = next->revision;
    int via = world_.rng.pick(world_.size());
    for (int tried = 0; tried < world_.size() && !world_.host(via).works(); ++tried) via = (via + 1) % world_.size();
    world_.store->swap(via, -1, expected, next,
                       [this, edit, attempts, via, era = era_](cluster::Swapped result, SharedRecord const& record) {
                           if (result == cluster::Swapped::done && record) world_.host(via).record_learned(record);
                           if (result == cluster::Swapped::done || attempts <= 1 || era != era_) return;
                           world_.scheduler.after(world_.rng.between(1, 50) * kMs,
                                                  [this, edit, attempts] { edit_record(edit, attempts - 1); });
                       });
}

void Faults::by_operator(Fault fault) {
    Rng& rng = world_.rng;
    SIM_TELL(world_, "operator: {}", name_of(fault));
    int const node = rng.pick(world_.plan.data);
    int const draw = rng.pick(100);
    switch (fault) {
        case Fault::switchover:
            return edit_record([this, node, draw](Record& record) {
                if (record.handover) return false;
                record.handover = cluster::Handover{};
                if (draw < 60) record.handover->target = world_.host(node).id();
                record.handover->asked_by = "operator";
                return true;
            });
        case Fault::mode_change:
            return edit_record([draw](Record& record) {
                record.settings.mode = static_cast<cluster::Mode>(draw % 3);
                return true;
            });
        case Fault::quorum_change:
            return edit_record([draw](Record& record) {
                record.settings.quorum = 1 + static_cast<std::uint32_t>(draw % 2);
                return true;
            });
        case Fault::pause_cluster:
            edit_record([](Record& record) { return std::exchange(record.paused, true) == false; });
            later(rng.between(500, 6000) * kMs,
                  [this] { edit_record([](Record& record) { return std::exchange(record.paused, false); }, 20); });
            return;
        case Fault::tags:
            return edit_record([this, node, draw](Record& record) {
                auto const found = record.members.find(world_.host(node).id());
                if (found == record.members.end()) return false;
                auto& tags = found->second.tags;
                if (draw < 30)
                    tags.nosync = !tags.nosync;
                else if (draw < 60)
                    tags.nofailover = !tags.nofailover;
                else if (draw < 80)
                    tags.priority = draw % 3;
                else
                    tags.delayed_s = tags.delayed_s == 0 ? 60 : 0;
                return true;
            });
        case Fault::settings:
            return edit_record([draw](Record& record) {
                record.settings.postgres["work_mem"] = fmt::format("{}MB", draw);
                return true;
            });
        default:
            return edit_record([this](Record& record) {
                edit_members(record);
                return true;
            });
    }
}

// Asks one member that does not lead to leave, as `pgkeel leave` does (the leader takes it out), or takes one that left
// back.
void Faults::edit_members(Record& record) {
    Rng& rng = world_.rng;
    for (int node = 0; node < world_.size(); ++node) {
        NodeId const& id = world_.host(node).id();
        if (record.members.contains(id) || !removed_.contains(id)) continue;
        record.members[id] = removed_[id];
        return;
    }
    NodeId const& id = world_.host(rng.pick(world_.size())).id();
    if (record.members.size() <= 3 || record.leader == id || record.coordinator == id || !record.members.contains(id))
        return;
    if (record.members[id].leaving) return;
    removed_[id] = record.members[id];
    record.members[id].leaving = true;
}

// ---- healing
// ----------------------------------------------------------------------------------------------------------------

void Faults::heal() {
    ++era_;
    world_.network.heal_everything();
    world_.network.loss = world_.network.late = world_.network.duplicate = 0;
    world_.plan.lost_answers = 0;
    for (int node = 0; node < world_.size(); ++node) {
        Host& host = world_.host(node);
        host.disk_full = host.disk_tight = false;
        host.unstall_disk();
        host.postgres.fsync_factor = 1;
        host.postgres.promote_extra = 0;
        host.postgres.receiver_sticks = false;
        host.resume_machine();
        host.postgres.resume();
        while (host.agent_paused()) host.resume_agent();
        host.power_on();
        host.start_agent();
    }
    // Twice: an older edit may still be on its way.
    settle_record();
    later(4 * kSecond, [this] { settle_record(); });
}

// No operator wants anything special any more.
void Faults::settle_record() {
    auto const edit = [](Record& record) {
        bool changed = std::exchange(record.paused, false);
        for (auto& [id, member] : record.members) {
            auto& tags = member.tags;
            changed |= tags.nofailover || tags.nosync || tags.delayed_s != 0;
            tags.nofailover = tags.nosync = false;
            tags.delayed_s = 0;
        }
        return changed;
    };
    edit_record(edit, 50);
}

}  // namespace keel::sim
