#include "consensus/embedded.h"

#include <algorithm>
#include <deque>

#include "base/json.h"
#include "consensus/acceptor_file.h"

namespace keel::consensus {

namespace {

constexpr Duration kReseatAgainAfter = 1s;
constexpr std::uint64_t kBallotMax = 1ULL << 62U;
constexpr std::size_t kWaitingMax = 256;  // messages, while the disk is busy; more are dropped, as by the network

std::string names(std::set<NodeId> const& nodes, std::optional<cluster::Record> const& record) {
    std::string out;
    for (auto const& node : nodes) {
        auto const known = record && record->members.contains(node);
        out += (out.empty() ? "" : ", ") + (known ? record->members.at(node).name : node.value);
    }
    return out;
}

// A value without voters could never be replaced, a ballot near the end of its numbers never be exceeded.
bool is_sane(Message const& message) {
    auto const ballot_ok = [](Ballot const& ballot) { return ballot.counter < kBallotMax; };
    auto const value_ok = [](Value const& value) { return !value.voters.empty() && !value.before.empty(); };
    return std::visit(
        [&](auto const& one) {
            bool ok = true;
            if constexpr (requires { one.ballot; }) ok = ok && ballot_ok(one.ballot);
            if constexpr (requires { one.next; }) ok = ok && ballot_ok(one.next);
            if constexpr (requires { one.accepted; }) ok = ok && ballot_ok(one.accepted);
            if constexpr (requires { one.promised; }) ok = ok && ballot_ok(one.promised);
            if constexpr (requires { one.value.voters; })
                ok = ok && value_ok(one.value);
            else if constexpr (requires { one.value; })
                ok = ok && (!one.value || value_ok(*one.value));
            return ok;
        },
        message);
}

}  // namespace

struct Embedded::Driver : std::enable_shared_from_this<Embedded::Driver> {
    struct Request {
        enum class Kind { read, swap, reseat };
        Kind kind = Kind::read;
        std::uint64_t expected = 0;
        cluster::Record record = {};
        Answer answer = {};
    };

    Driver(Options given, Ports handed, AcceptorFile opened)
        : options(std::move(given)),
          ports(std::move(handed)),
          file(std::make_shared<AcceptorFile>(std::move(opened))),
          acceptor(file->content().seat, file->content().durable),
          proposer(options.self, ports.random()) {
        auto const& durable = acceptor.durable();
        if (durable.value) proposer.believe({durable.accepted, *durable.value});
    }

    // ---- operations ----
    void submit(Request request) {
        requests.push_back(std::move(request));
        soon([](Driver& self) { self.next(); });
    }

    void next() {
        if (proposer.busy() || requests.empty()) return;
        current = std::move(requests.front());
        requests.pop_front();
        ++serial;
        auto step = start(*current);
        if (step.finish) return carry_out(step);
        later(options.give_up_after, [now = serial](Driver& self) {
            if (self.serial == now) self.give_up();
        });
        tick_later();
        carry_out(step);
    }

    Step start(Request& request) {
        switch (request.kind) {
            case Request::Kind::read:
                return proposer.read();
            case Request::Kind::reseat:
                return proposer.reseat(acceptor.seat());
            case Request::Kind::swap:
                break;
        }
        request.record.revision = request.expected + 1;
        return proposer.swap(request.expected, cluster::encode(request.record), request.record.voters);
    }

    void tick_later() {
        later(options.ask_again_after, [now = serial](Driver& self) {
            if (self.serial != now || !self.proposer.busy()) return;
            if (!self.proposer.belief()) self.fetch_from_peers();
            self.tick_later();
            self.carry_out(self.proposer.tick());
        });
    }

    void give_up() {
        if (!proposer.busy()) return;
        auto const silent = proposer.silent();
        unreachable = !proposer.belief() ? "no member has told this node the cluster's record yet"
                                         : "no majority of the voters for the cluster's record";
        if (!silent.empty()) unreachable += "; no answer from " + names(silent, record);
        carry_out(proposer.give_up());
    }

    void carry_out(Step const& step) {
        for (auto const& [to, message] : step.send) send(to, message);
        if (step.chosen) {
            learn(*step.chosen);
            for (auto const& member : members()) send(member, *step.chosen);
        }
        if (step.back_off) {
            later(back_off(), [now = serial](Driver& self) {
                if (self.serial == now) self.carry_out(self.proposer.retry());
            });
        }
        if (step.finish) finish(*step.finish);
    }

    // The first refusal is mostly an old idea of the newest ballot, which it has put right: at once. Then it is a
    // contest: long enough for the winner, whose Learned ends the pause, to get through.
    Duration back_off() {
        if (proposer.attempt() <= 1) return {};
        return Duration(static_cast<Duration::rep>(ports.random() %
                                                   static_cast<std::uint64_t>(options.ask_again_after.count() + 1)));
    }

    void finish(Finish const& end) {
        if (end.chosen) {
            unreachable.clear();
            learn(*end.chosen);
        }
        auto const request = *std::exchange(current, std::nullopt);
        soon([](Driver& self) { self.next(); });
        if (request.kind == Request::Kind::reseat) {
            reseating = false;
            if (!end.chosen) later(kReseatAgainAfter, [](Driver& self) { self.reseat_if_needed(); });
            return;
        }
        cluster::StoreAnswer answer;
        if (end.outcome == Outcome::done) answer.result = cluster::Swapped::done;
        if (end.outcome == Outcome::conflict || end.outcome == Outcome::refused)
            answer.result = cluster::Swapped::conflict;
        if (end.chosen)
            answer.record = decode(*end.chosen);
        else if (end.outcome == Outcome::refused)
            answer.record = record;
        if (end.chosen && !answer.record) answer.result = cluster::Swapped::unknown;
        if (request.answer) request.answer(std::move(answer));
    }

    // ---- knowledge ----
    std::optional<cluster::Record> decode(Learned const& learned) {
        auto decoded = cluster::decode_record(learned.value.text);
        if (decoded) return std::move(*decoded);
        unreadable = to_string(decoded.error());
        return {};
    }

    void learn(Learned const& learned) {
        carry_out_if_any(proposer.receive(options.self, learned));
        if (known && learned.ballot <= known->ballot) return;
        bool const newer = !known || learned.value.revision > known->value.revision;
        known = learned;
        reseat_if_needed();
        if (!newer) return;
        auto decoded = decode(learned);
        if (!decoded) return;
        unreadable.clear();
        record = std::move(decoded);
        soon([now = *record](Driver& self) {
            if (self.watcher) self.watcher(now);
        });
    }

    void carry_out_if_any(Step const& step) {
        if (!step.send.empty() || step.finish) carry_out(step);
    }

    // This node is a voter whose acceptor lost its memory (or was made anew): see register.h.
    void reseat_if_needed() {
        if (!known || reseating) return;
        auto const own = known->value.voters.find(options.self);
        if (own == known->value.voters.end() || own->second == acceptor.seat()) return;
        reseating = true;
        submit({.kind = Request::Kind::reseat});
    }

    std::set<NodeId> members() const {
        auto nodes = options.peers;
        if (record) {
            for (auto const& [node, member] : record->members) nodes.insert(node);
            nodes.insert(record->voters.begin(), record->voters.end());
        }
        nodes.erase(options.self);
        return nodes;
    }

    void fetch_from_peers() {
        for (auto const& peer : options.peers) {
            if (peer != options.self) send(peer, Fetch{});
        }
    }

    // ---- messages ----
    void send(NodeId const& to, Message const& message) {
        if (to != options.self) return ports.send(to, json::write(message));
        soon([message](Driver& self) { self.deliver(self.options.self, message); });
    }

    void deliver(NodeId const& from, Message const& message) {
        if (auto const* learned = std::get_if<Learned>(&message)) return learn(*learned);
        if (auto const* fetch = std::get_if<Fetch>(&message)) {
            if (known && fetch->ballot < known->ballot) send(from, *known);
            return;
        }
        auto const verdict = acceptor.consider(message);
        if (!verdict.reply) return carry_out_if_busy(from, message);
        if (!verdict.persist) return send(from, *verdict.reply);
        if (waiting.size() < kWaitingMax) waiting.emplace_back(from, message);
        save_next();
    }

    void carry_out_if_busy(NodeId const& from, Message const& message) {
        auto const now = serial;
        auto const step = proposer.receive(from, message);
        if (now == serial) carry_out(step);
    }

    // One write at a time; a message that waited is considered anew.
    void save_next() {
        while (!saving && !waiting.empty()) {
            auto const [from, message] = std::move(waiting.front());
            waiting.pop_front();
            auto verdict = acceptor.consider(message);
            if (!verdict.persist) {
                send(from, *verdict.reply);
                continue;
            }
            saving = true;
            auto done = [weak = weak_from_this(), to = from, reply = *verdict.reply,
                         durable = *verdict.persist](Status status) {
                if (auto const self = weak.lock()) self->saved(status, durable, to, reply);
            };
            auto work = [disk = file, durable = *verdict.persist] { return disk->save(durable); };
            if (ports.blocking)
                ports.blocking(std::move(work), std::move(done));
            else
                done(work());
        }
    }

    void saved(Status const& status, Durable const& durable, NodeId const& to, Message const& reply) {
        saving = false;
        disk = status ? std::string() : to_string(status.error());
        if (status) {
            acceptor.adopt(durable);
            send(to, reply);
        }
        save_next();
    }

    // ---- time ----
    template <class Function>
    void soon(Function function) {
        ports.post([weak = weak_from_this(), function = std::move(function)] {
            if (auto const self = weak.lock()) function(*self);
        });
    }
    template <class Function>
    void later(Duration delay, Function function) {
        ports.after(delay, [weak = weak_from_this(), function = std::move(function)] {
            if (auto const self = weak.lock()) function(*self);
        });
    }

    Options options;
    Ports ports;
    std::shared_ptr<AcceptorFile> file;  // shared with the write that runs
    Acceptor acceptor;
    Proposer proposer;
    std::deque<Request> requests;
    std::optional<Request> current;
    std::uint64_t serial = 0;  // of the current operation; its timers carry it
    std::optional<Learned> known;
    std::optional<cluster::Record> record;
    Watcher watcher;
    std::deque<std::pair<NodeId, Message>> waiting;
    bool saving = false;
    bool reseating = false;
    std::string disk, unreachable, unreadable;  // troubles
};

Status Embedded::bootstrap(Options const& options, cluster::Record record, Seat seat) {
    record.revision = 1;
    record.voters = {options.self};
    return AcceptorFile::create(
        options.file, {options.cluster_id, options.self, seat, genesis(options.self, seat, cluster::encode(record))});
}

Result<std::unique_ptr<Embedded>> Embedded::open(Options options, Ports ports) {
    auto file = AcceptorFile::open(options.file, options.cluster_id, options.self);
    if (!file && file.error().code == Code::not_found) {
        KEEL_CHECK(AcceptorFile::create(options.file, {options.cluster_id, options.self, ports.random(), {}}));
        file = AcceptorFile::open(options.file, options.cluster_id, options.self);
    }
    if (!file) return fail(std::move(file.error()));
    auto driver = std::make_shared<Driver>(std::move(options), std::move(ports), std::move(*file));
    driver->soon([](Driver& self) { self.fetch_from_peers(); });
    return std::unique_ptr<Embedded>(new Embedded(std::move(driver)));
}

Embedded::Embedded(std::shared_ptr<Driver> driver) : driver_(std::move(driver)) {}
Embedded::~Embedded() = default;

void Embedded::read(Answer answer) { driver_->submit({.answer = std::move(answer)}); }

void Embedded::swap(std::uint64_t expected, cluster::Record record, Answer answer) {
    driver_->submit({Driver::Request::Kind::swap, expected, std::move(record), std::move(answer)});
}

void Embedded::watch(Watcher watcher) { driver_->watcher = std::move(watcher); }

std::string Embedded::trouble() const {
    for (auto const* text : {&driver_->disk, &driver_->unreadable, &driver_->unreachable}) {
        if (!text->empty()) return *text;
    }
    return {};
}

void Embedded::receive(NodeId const& from, std::string_view bytes) {
    auto const message = json::read<Message>(bytes);
    if (!message || !is_sane(*message)) return;
    auto const driver = driver_;  // an answer may destroy this store
    driver->deliver(from, *message);
}

void Embedded::fetch(NodeId const& peer) {
    driver_->send(peer, Fetch{driver_->known ? driver_->known->ballot : Ballot{}});
}

}  // namespace keel::consensus
