#include "world.h"

namespace keel::sim {

namespace {
// Where the first WAL ends.
constexpr std::uint64_t kFirstLsn = 0x3000000;
}  // namespace

void Counts::add(Counts const& other) {
    static_assert(sizeof(Counts) % sizeof(std::uint64_t) == 0);
    auto* mine = reinterpret_cast<std::uint64_t*>(this);
    auto const* theirs = reinterpret_cast<std::uint64_t const*>(&other);
    for (std::size_t i = 0; i < sizeof(Counts) / sizeof(std::uint64_t); ++i) mine[i] += theirs[i];
}

World::World(Plan drawn, bool tell, bool live)
    : plan(drawn),
      rng(drawn.seed ^ 0x5eedU),
      network(*this),
      invariants(*this),
      clients(*this),
      faults(*this),
      liveness(*this) {
    trace.on = tell;
    trace.live = live;
    network.loss = plan.loss;
    network.duplicate = plan.duplicate;
    network.late = plan.late;
    network.late_max = 400 * kMs;
    found_cluster();
}

World::~World() = default;

int World::index(NodeId const& id) const {
    if (id.value.size() != 2 || id.value[0] != 'n') return -1;
    int const node = id.value[1] - '0';
    return node >= 0 && node < size() ? node : -1;
}

// As init and join leave it: one leader of epoch 1, everybody stopped.
void World::found_cluster() {
    wal.add({1, -1, 0, 1, 0});
    cluster::Record record;
    record.cluster_id = "sim";
    record.name = "sim";
    record.system_id = "1";
    record.revision = 1;
    record.epoch = {1};
    record.settings.mode = plan.mode;
    record.settings.quorum = plan.quorum;
    record.settings.profile = plan.profile;
    for (int node = 0; node < plan.data + plan.witnesses; ++node) {
        auto const kind = node < plan.data ? cluster::Kind::data : cluster::Kind::witness;
        hosts_.push_back(std::make_unique<Host>(*this, node, kind));
        Host& host = *hosts_.back();
        auto& member = record.members[host.id()];
        member.name = fmt::format("node{}", node);
        member.kind = kind;
        member.peer = member.api = fmt::format("{}:7432", member.name);
        if (kind == cluster::Kind::data) member.postgres = fmt::format("{}:5432", member.name);
        record.voters.insert(host.id());
        host.postgres.present = kind == cluster::Kind::data && (node == 0 || node < plan.data - plan.fresh);
        if (host.postgres.present) host.postgres.written = host.postgres.flushed = kFirstLsn;
    }
    record.leader = record.coordinator = hosts_[0]->id();
    record.sync = {plan.mode, {record.leader}, 1, record.leader};
    record.lineage.push_back({{1}, {}, {}, {1}, record.leader, cluster::Fate::live});
    auto const first = std::make_shared<cluster::Record const>(std::move(record));
    if (plan.register_store)
        store = std::make_unique<RegisterStore>(*this, first);
    else
        store = std::make_unique<MemoryStore>(*this, first);
}

bool World::run() {
    for (auto& host : hosts_) {
        scheduler.after(rng.between(0, 300) * kMs, [h = host.get()] { h->start_agent(); });
    }
    clients.begin();
    faults.begin();
    Time const trouble_ends = plan.trouble;
    while (!failure_ && scheduler.step(trouble_ends)) {
    }
    if (failure_) return false;
    SIM_TELL(*this, "---- everything is healed ----");
    healing = true;
    faults.heal();
    std::string missing;
    Time const bound = scheduler.now() + Liveness::kBound;
    while (!failure_ && scheduler.now() < bound) {
        Time const until = scheduler.now() + 200 * kMs;
        while (!failure_ && scheduler.step(until)) {
        }
        missing = liveness.missing();
        if (missing.empty() && scheduler.now() > trouble_ends + 5 * kSecond) break;
    }
    if (!failure_ && !missing.empty()) fail("liveness", missing);
    if (failure_) return false;
    std::uint64_t const before = counts.commits;
    Time const until = scheduler.now() + 5 * kSecond;
    while (!failure_ && scheduler.step(until)) {
    }
    if (!failure_ && counts.commits == before && !liveness.writes_may_wait())
        fail("liveness", "the cluster looks whole, but no write is acknowledged");
    return !failure_;
}

void World::fail(char const* invariant, std::string text) {
    if (failure_) return;
    if (trace.on) {
        for (auto const& host : hosts_) tell(host->describe());
        tell(fmt::format("!!!! {}: {}", invariant, text));
    }
    failure_ = Failure{invariant, std::move(text), scheduler.now()};
}

void World::acknowledged(int node, Position commit, bool waited) {
    ++counts.commits;
    if (waited) ++counts.sync_commits;
    invariants.on_acknowledged(node, commit, waited);
}

void World::names_changed(int node) { invariants.on_names(node); }
void World::directory_changed(int node) { invariants.on_directory(node); }

void World::promoted(int node, int branch) {
    ++counts.promotions;
    SIM_TELL(*this, "{} is read-write on timeline {} of epoch {} from {:#x}", host(node).id().value,
             wal[branch].timeline, wal[branch].epoch, wal[branch].fork);
    invariants.on_promoted(node, branch);
}

void World::record_written(int author, cluster::Record const& before, cluster::Record const& after) {
    if (!(after.sync == before.sync)) ++counts.sync_changes;
    if (!after.leader.value.empty() && before.leader.value.empty()) ++counts.elections;
    bool const confirmed = before.phase == cluster::Phase::promoting && after.phase == cluster::Phase::stable;
    if (confirmed && before.handover && !after.handover) ++counts.switchovers;
    if (trace.on) {
        std::string sync;
        for (auto const& id : after.sync.members) sync += id.value + " ";
        tell(fmt::format("record {} by {}: epoch {} {} leader {} sync {} {{{}}} {} ({})", after.revision,
                         author < 0 ? "operator" : host(author).id().value, after.epoch.value, word(after.phase),
                         after.leader.value, word(after.sync.mode), sync, after.sync.quorum,
                         after.history.empty() ? "" : after.history.back().text));
    }
    invariants.on_record(author, before, after);
    spread(author);
}

void World::spread(int author) {
    if (!plan.watch || plan.register_store) return;
    for (int node = 0; node < size(); ++node) {
        if (node == author || !network.open(Traffic::store, node, (node + 1) % size())) continue;
        scheduler.after(network.delay() + rng.between(0, 5) * kMs,
                        [this, node] { host(node).record_learned(store->truth()); });
    }
}

}  // namespace keel::sim
