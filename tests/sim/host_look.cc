// What the agent of a host can see of its server, and what people are told of both.
#include "host.h"
#include "world.h"

namespace keel::sim {

void Host::stall_disk() {
    if (!postgres.stalled) stalled_at_ = world_.scheduler.now();
    postgres.stall();
}

void Host::unstall_disk() {
    bool const was_dying = postgres.dying;
    postgres.unstall();
    if (was_dying) observe_soon(5 * kMs);
}

cluster::Observation Host::look() const {
    using cluster::Server;
    PostgresModel const& pg = postgres;
    cluster::Observation seen;
    bool const hung = pg.paused && world_.scheduler.now() - pg.stuck_since > 1500 * kMs;
    if (pg.marker)
        seen.server = Server::unusable;
    else if (!pg.present)
        seen.server = Server::absent;
    else if (hung || (pg.proc == Proc::down && pg.backends))
        seen.server = Server::starting;
    else if (pg.shutting_down() && !(running_ && running_->verb == cluster::Verb::stop))
        seen.server = Server::starting;  // an agent that did not begin the stop gets no answer
    else if (pg.proc == Proc::down)
        seen.server = Server::stopped;
    else if (pg.proc == Proc::starting)
        seen.server = Server::starting;
    else
        seen.server = pg.proc == Proc::primary ? Server::primary : Server::recovery;
    if (disk_full || (pg.stalled && world_.scheduler.now() - stalled_at_ > 2 * kSecond))
        seen.disk = cluster::Disk::useless;
    else if (disk_tight)
        seen.disk = cluster::Disk::tight;
    if (seen.disk != cluster::Disk::sound) seen.disk_text = word(seen.disk);
    if (!pg.present || pg.marker) return seen;
    if (hung) seen.problem = "the server does not answer";
    int branch = pg.branch;
    while (world_.wal[branch].parent >= 0 && pg.flushed <= world_.wal[branch].fork) branch = world_.wal[branch].parent;
    seen.timeline.value = world_.wal[branch].timeline;
    seen.fork.value = world_.wal[branch].fork;
    seen.flush.value = pg.flushed;
    seen.settled = pg.settled;
    seen.whole = pg.proc == Proc::down ? pg.clean : pg.settled || pg.received;
    if (pg.up() && !seen.whole)
        seen.flush.value = std::max(world_.wal[branch].fork, pg.flushed - std::min<std::uint64_t>(pg.flushed, 4000));
    seen.replay = seen.flush;
    seen.receiver = pg.receiver.connected && !lying_;
    seen.streaming = seen.receiver;
    if (pg.upstream >= 0 && !lying_) seen.upstream = world_.host(pg.upstream).id();
    seen.names.count = pg.file_names.count;
    for (int x = 0; x < world_.size(); ++x) {
        if ((pg.file_names.mask >> x & 1U) != 0) seen.names.members.insert(world_.host(x).id());
        if ((pg.slots >> x & 1U) != 0) seen.slots.insert(world_.host(x).id());
        auto const& sender = pg.senders[x];
        if (pg.proc != Proc::primary || !sender.connected) continue;
        Lsn const flush{sender.flush};
        seen.senders.push_back(
            {world_.host(x).id(), sender.flush != 0, Lsn{sender.sent}, flush, flush, flush, {}, {}, {}});
    }
    return seen;
}

std::string Host::describe() const {
    PostgresModel const& pg = postgres;
    std::string text =
        fmt::format("{}: {}{}", id_.value, powered_ ? "" : "no power, ", agent_paused() ? "agent paused, " : "");
    if (node_) {
        auto const opinion = node_->opinion();
        auto const& record = node_->record();
        text += fmt::format("{} ({}), floor {}, knows revision {}", word(opinion.state), opinion.reason,
                            opinion.floor.value, record ? record->revision : 0);
    } else {
        text += "no agent";
    }
    if (running_) text += fmt::format(", running {}", word(running_->verb));
    if (store_busy_) text += ", waits for the store";
    if (!data()) return text;
    auto const seen = look();
    text += fmt::format("; server {}{}{} on timeline {} at {:#x} (disk {:#x}), upstream {}{}, names ANY {} {:#b}",
                        word(seen.server), pg.paused ? " stopped" : "", pg.backends ? " with backends" : "",
                        seen.timeline.value, pg.written, pg.flushed, pg.upstream,
                        pg.receiver.connected ? " connected" : "", pg.file_names.count, pg.file_names.mask);
    for (int x = 0; x < world_.size(); ++x) {
        if (pg.senders[x].connected) text += fmt::format(", sends n{} ({:#x})", x, pg.senders[x].flush);
    }
    return text;
}

}  // namespace keel::sim
