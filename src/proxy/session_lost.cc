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

// As the name of a WAL file begins.
std::string hex_of(Timeline timeline) {
    std::string out(8, '0');
    auto rest = timeline.value;
    for (std::size_t at = out.size(); at-- > 0; rest >>= 4U) out[at] = "0123456789ABCDEF"[rest & 15U];
    return out;
}

// The message makes a commit of this very question, which waits for the standbys: so what it finds committed is where
// every commit has to be before a client is told of it, even when the server that the client lost did not wait.
std::string fate_question(std::uint64_t xid) {
    return "SELECT pg_catalog.pg_xact_status('" + std::to_string(xid) +
           "'::pg_catalog.xid8), pg_catalog.substr(pg_catalog.pg_walfile_name("
           "pg_catalog.pg_current_wal_insert_lsn()), 1, 8), "
           "pg_catalog.set_config('synchronous_commit', 'on', true), "
           "pg_catalog.pg_logical_emit_message(true, 'pgkeel', '')";
}

}  // namespace

void Session::ask_fate(Server& server) {
    asking_fate_ = true;
    lost_->fate.clear();
    need_ = Need::nothing;
    protocol::write_query(server.out, fate_question(lost_->xid));
    server.owe({Reply::fate, true});
    server.unnamed = 0;
}

// Status and timeline, as text.
void Session::fate_told() {
    asking_fate_ = false;
    protocol::Reader reader(lost_->fate);
    auto const columns = reader.u16();
    auto const column = [&] {
        auto const length = reader.u32();
        return length != 0xffffffffU ? reader.bytes(length) : std::string_view{};
    };
    auto const text = columns >= 2 ? column() : std::string_view{};
    auto const timeline = columns >= 2 ? column() : std::string_view{};
    // In progress: it waits for standbys, perhaps. On another timeline: the server has been promoted since it was
    // judged whom to ask, and may have given the xid again.
    if (text == "in progress" || timeline != hex_of(server_->timeline())) {
        need_ = Need::fate;
        return;
    }
    fate_known(text == "committed" ? Fate::committed : text == "aborted" ? Fate::not_committed : Fate::unknown);
}

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
    if (trial_ || again_) return lost_in_trial();
    Server& server = *server_;
    checking_ = false;
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
    lost_ = std::make_unique<Lost>();
    lost_->owed = server.owes() ? std::move(server.owed()) : std::deque<Owed>{};
    lost_->unsynced = server.unsynced;
    lost_->in_transaction = in_transaction;
    lost_->xid = server.xid;
    lost_->epoch = server.epoch();
    if (lost_->owed.empty()) return lost_at_rest(server.skipping);
    bool const commits = !in_transaction || server.committed || goes_on_behind_rollback() ||
                         std::ranges::any_of(lost_->owed, &Owed::commits);
    if (!commits) return tell_lost("40001", kTransactionLost, 'E');
    bool const nothing_stored = server.is_standby() || (complete && server.tells_xids && lost_->xid == 0);
    if (nothing_stored && !server.committed) return undone('I');
    // A pipeline over a commit, or over several statements that each commit: which of them were done cannot be told.
    auto const answers = std::ranges::count_if(lost_->owed, [](Owed const& one) { return ends_in_ready(one.reply); });
    if (answers != 1 || lost_->unsynced || lost_->xid == 0 || server.committed || splits())
        return fate_known(Fate::unknown);
    need_ = Need::fate;
}

// What is on its way behind the end of the transaction is of another one, which commits by itself.
bool Session::goes_on_behind_rollback() const {
    auto const runs = [](Owed const& one) {
        return !one.hidden &&
               (one.reply == Reply::execute || one.reply == Reply::query || one.reply == Reply::function);
    };
    auto const end = std::ranges::find(lost_->owed, true, &Owed::rolls_back);
    return end != lost_->owed.end() && std::any_of(std::next(end), lost_->owed.end(), runs);
}

// The xid that was told last is not the only one, perhaps: what it became says nothing about the others.
bool Session::splits() const {
    std::size_t left = lost_->owed.size();
    for (auto const& one : lost_->owed) {
        --left;
        if (one.splits) return true;
        bool const more_behind = one.reply == Reply::execute && (one.commits || one.rolls_back) &&
                                 std::any_of(lost_->owed.end() - static_cast<std::ptrdiff_t>(left), lost_->owed.end(),
                                             [](Owed const& next) { return next.reply == Reply::execute; });
        if (more_behind) return true;
    }
    return false;
}

void Session::detach_from_server(bool aborted, bool skip, bool told) {
    if (!detached_) detached_ = std::make_unique<Detached>();
    detached_->begin(aborted, skip, told);
}

// The server has never answered these.
void Session::take_parses_back() {
    for (auto at = undo_.rbegin(); at != undo_.rend(); ++at) {
        if (!at->visible || at->taken) continue;
        if (at->name.empty())
            unnamed_ = std::move(at->unnamed_before);
        else if (at->before)
            names_[at->name] = std::move(at->before);
        else
            names_.erase(at->name);
    }
    undo_.clear();
}

// Nothing of what was on its way is stored. If the client has seen nothing of an answer either, it happens now.
void Session::undone(char status) {
    if (!flight_kept_ || lost_->in_transaction) return tell_lost("40001", kTransactionLost, status);
    in_.insert(0, flight_);
    flight_.clear();
    flight_kept_ = false;
    pass_ = 0;
    lost_->owed.clear();
    need_ = Need::nothing;
    advance();
}

// Nothing was on its way. In a transaction the next thing that the client sends is answered with the error; a batch
// that has no Sync yet has failed now, unless it had already.
void Session::lost_at_rest(bool skipping) {
    if (!lost_->unsynced || skipping) {
        detach_from_server(lost_->in_transaction, lost_->unsynced, false);
        advance();
        return;
    }
    lost_->owed.push_back({Reply::execute});
    tell_lost("40001", kTransactionLost, lost_->in_transaction ? 'E' : 'I');
}

// Every answer that is owed becomes this error.
void Session::tell_lost(std::string_view code, std::string_view text, char status) {
    bool const nothing_stored = code == "40001";
    protocol::Report const report{
        "ERROR", code, text,
        nothing_stored ? "Nothing of it is stored." : "The primary changed while it was on its way.",
        nothing_stored ? kRunAgain : "Look whether it is there before you run it again."};
    bool told = false;
    for (auto const& one : lost_->owed) {
        if (!told) {
            protocol::write_report(out, 'E', report);
            shared_.figures.totals.errors_of_proxy.add(code);
        }
        told = true;
        if (!ends_in_ready(one.reply)) continue;
        protocol::write_ready(out, status);
        told = false;
    }
    lost_->owed.clear();
    detach_from_server(status == 'E', lost_->unsynced, true);
    need_ = Need::nothing;
    advance();
}

void Session::tell_committed() {
    bool const more_than_commit = std::ranges::any_of(lost_->owed, [](Owed const& one) {
        return !one.hidden && !one.commits && (one.reply == Reply::execute || one.reply == Reply::query);
    });
    if (!lost_->in_transaction || more_than_commit) {
        // It is stored, but how many rows, or which, went down with the server.
        return tell_lost("08006", "the statement was committed, and its result was lost with the server", 'I');
    }
    for (auto const& one : lost_->owed) {
        if (!one.hidden) answer_done(out, one, "COMMIT");
    }
    lost_->owed.clear();
    ++transactions;
    need_ = Need::nothing;
    advance();
}

void Session::fate_known(Fate fate) {
    if (phase_ == Phase::closing) return;
    auto& totals = shared_.figures.totals;
    ++(fate == Fate::committed       ? totals.fates_committed
       : fate == Fate::not_committed ? totals.fates_not_committed
                                     : totals.fates_unknown);
    // Nobody has told where it ended.
    if (fate != Fate::not_committed) {
        blind_since_ = Epoch{lost_->epoch.value + 1};
        shared_.newest_since = std::max(shared_.newest_since, blind_since_);
    }
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
