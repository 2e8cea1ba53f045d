// A session whose server was lost: what the client is told, and never more than is known.
#include <algorithm>

#include "proxy/session.h"

namespace keel::proxy {

namespace {

constexpr char const* kRunAgain = "Run it again.";
constexpr char const* kTransactionLost = "the transaction was lost with its server";

// What PostgreSQL would have answered for a statement without rows.
void answer_done(std::string& out, Owed const& owed, char const* tag) {
    switch (owed.reply) {
        case Reply::parse:
        case Reply::parse_known:
            return protocol::write_bare(out, '1');
        case Reply::bind:
            return protocol::write_bare(out, '2');
        case Reply::close:
            return protocol::write_bare(out, '3');
        case Reply::describe_statement:
            protocol::Message(out, 't').u16(0);
            return protocol::write_bare(out, 'n');
        case Reply::describe_portal:
            return protocol::write_bare(out, 'n');
        case Reply::execute:
            return protocol::write_command_complete(out, tag);
        case Reply::query:
            protocol::write_command_complete(out, tag);
            return protocol::write_ready(out, 'I');
        default:
            return protocol::write_ready(out, 'I');
    }
}

}  // namespace

void Session::lost(bool complete) {
    if (server_ == nullptr || phase_ == Phase::closing) return;
    if (asking_fate_) {
        // What was lost is still what it was; somebody else has to be asked.
        server_ = nullptr;
        server_in_.clear();
        asking_fate_ = restoring_ = false;
        need_ = Need::fate;
        return;
    }
    Server& server = *server_;
    bool const half_answered = answer_pass_ > 0 && !answer_hidden_;
    bool const learning = std::ranges::any_of(server.owed(), [](Owed const& one) { return one.reply == Reply::learn; });
    server_ = nullptr;
    server_in_.clear();
    take_parses_back();
    restoring_ = false;
    answer_pass_ = 0;
    // The rest of a message that is on its way is taken, and goes nowhere.
    pass_drop_ = true;
    bool const in_transaction = server.status != 'I';
    bool const asks = std::exchange(ask_, false);
    if (half_answered) {
        phase_ = Phase::closing;
        need_ = Need::close;
        return;
    }
    if (phase_ == Phase::welcome) {
        need_ = Need::server;
        return;
    }
    if (!pinned_.empty())
        return refuse("57P01", "the server was lost, and with it what tied this session to it: " + pinned_);
    std::erase_if(server.owed(), [](Owed const& one) { return one.hidden && ends_in_ready(one.reply); });
    if (learning || (asks && !in_transaction && !server.owes()))
        return refuse("57P01", "the server was lost before the settings of this session were known elsewhere");
    lost_owed_ = server.owes() ? std::move(server.owed()) : std::deque<Owed>{};
    lost_unsynced_ = server.unsynced;
    lost_in_transaction_ = in_transaction;
    lost_xid_ = server.xid;
    lost_epoch_ = server.epoch();
    if (lost_owed_.empty()) return lost_at_rest(server.skipping);
    bool const commits = !in_transaction || server.committed || std::ranges::any_of(lost_owed_, &Owed::commits);
    if (!commits) return tell_lost("40001", kTransactionLost, 'E');
    if (complete && server.tells_xids && lost_xid_ == 0 && !server.committed) return undone('I');
    // A pipeline over a commit, or over several statements that each commit: which of them were done cannot be told.
    auto const answers = std::ranges::count_if(lost_owed_, [](Owed const& one) { return ends_in_ready(one.reply); });
    if (answers != 1 || lost_unsynced_ || lost_xid_ == 0 || server.committed || splits())
        return fate_known(Fate::unknown);
    need_ = Need::fate;
}

// The xid that was told last is not the only one, perhaps: what it became says nothing about the others.
bool Session::splits() const {
    std::size_t left = lost_owed_.size();
    for (auto const& one : lost_owed_) {
        --left;
        if (one.splits) return true;
        bool const more_behind = one.reply == Reply::execute && one.commits &&
                                 std::any_of(lost_owed_.end() - static_cast<std::ptrdiff_t>(left), lost_owed_.end(),
                                             [](Owed const& next) { return next.reply == Reply::execute; });
        if (more_behind) return true;
    }
    return false;
}

// The server has never answered these.
void Session::take_parses_back() {
    for (auto const& one : undo_) {
        if (one.visible && !one.name.empty()) names_.erase(one.name);
    }
    undo_.clear();
}

// Nothing of what was on its way is stored. If the client has seen nothing of an answer either, it happens now.
void Session::undone(char status) {
    if (!flight_kept_ || lost_in_transaction_) return tell_lost("40001", kTransactionLost, status);
    in_.insert(0, flight_);
    flight_.clear();
    flight_kept_ = false;
    pass_ = 0;
    lost_owed_.clear();
    need_ = Need::nothing;
    advance();
}

// Nothing was on its way. In a transaction the next thing that the client sends is answered with the error; a batch
// that has no Sync yet has failed now, unless it had already.
void Session::lost_at_rest(bool skipping) {
    if (!lost_unsynced_ || skipping) {
        detached_.begin(lost_in_transaction_, lost_unsynced_, false);
        advance();
        return;
    }
    lost_owed_.push_back({Reply::execute});
    tell_lost("40001", kTransactionLost, lost_in_transaction_ ? 'E' : 'I');
}

// Every answer that is owed becomes this error.
void Session::tell_lost(std::string_view code, std::string_view text, char status) {
    bool const nothing_stored = code == "40001";
    protocol::Report const report{"ERROR", code, text,
                                  nothing_stored ? "The primary changed. Nothing of it is stored."
                                                 : "The primary changed while it was on its way.",
                                  nothing_stored ? kRunAgain : "Look whether it is there before you run it again."};
    bool told = false;
    for (auto const& one : lost_owed_) {
        if (!told) protocol::write_report(out, 'E', report);
        told = true;
        if (!ends_in_ready(one.reply)) continue;
        protocol::write_ready(out, status);
        told = false;
    }
    lost_owed_.clear();
    detached_.begin(status == 'E', lost_unsynced_, true);
    need_ = Need::nothing;
    advance();
}

void Session::tell_committed() {
    if (!lost_in_transaction_) {
        // It is stored, but how many rows, or which, went down with the server.
        return tell_lost("08006", "the statement was committed, and its result was lost with the server", 'I');
    }
    for (auto const& one : lost_owed_) {
        if (!one.hidden) answer_done(out, one, "COMMIT");
    }
    lost_owed_.clear();
    ++transactions;
    need_ = Need::nothing;
    advance();
}

void Session::fate_known(Fate fate) {
    if (phase_ == Phase::closing) return;
    switch (fate) {
        case Fate::committed:
            return tell_committed();
        case Fate::not_committed:
            return undone('I');
        case Fate::unknown:
            return tell_lost("08007", "the server was lost, and whether the transaction is stored is not known", 'I');
    }
}

}  // namespace keel::proxy
