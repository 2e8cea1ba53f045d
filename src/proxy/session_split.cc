// A session whose statements go to different servers: where the next batch goes, what is run again elsewhere, and what
// a read has to see.
#include <algorithm>
#include <tuple>

#include "proxy/outlook.h"
#include "proxy/session.h"

namespace keel::proxy {

namespace {

// As much of an answer as PostgreSQL itself holds back before it sends.
constexpr std::size_t kHeldMax = 8192;
constexpr char const* kReplayQuestion = "SELECT pg_catalog.pg_last_wal_replay_lsn()";
// On a primary a commit is seen once its record is in WAL, also before it is on disk.
constexpr char const* kShownQuestion =
    "SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn() "
    "ELSE pg_catalog.pg_current_wal_insert_lsn() END";

// A standby refuses what it cannot do: writes, SERIALIZABLE, unlogged tables, functions of a primary.
bool is_refusal(std::string_view code) { return code == "25006" || code == "0A000" || code == "55000"; }

// Of an error on a standby: at the primary it might not happen. Cancelled by recovery; or about names and rights
// (class 42), of which the standby may not have heard yet.
bool may_pass_elsewhere(std::string_view code) {
    return is_refusal(code) || code == "40001" || code == "40P01" || code.starts_with("42");
}

}  // namespace

Wishes const& Session::wishes() {
    if (wishes_of_ != settings_) {
        wishes_ = wishes_of(*settings_, shared_.causal, shared_.monotonic);
        wishes_of_ = settings_;
        min_lost_ = false;
        if (!wishes_.complaint.empty()) tell_warning(wishes_.complaint);
    }
    return wishes_;
}

// Whether the lexer sees strings end where the server does.
bool Session::can_be_judged() {
    if (judged_for_ == reported_) return judged_;
    auto const value = [&](std::string_view name) {
        auto const known = reported_->find(name);
        return known == reported_->end() ? std::string_view{} : std::string_view(known->second);
    };
    judged_for_ = reported_;
    judged_ = value("standard_conforming_strings") == "on" && sql::is_ascii_safe(value("client_encoding"));
    return judged_;
}

// False: the end of the batch has to come first.
bool Session::choose_server(std::string_view rest) {
    if (seed_.reads != Reads::split) return true;
    wants_standby_ = false;
    if (std::exchange(insists_, false) || shared_.policy->mode == PoolMode::session) return true;
    auto const& wish = wishes();
    if (wish.route == Route::primary || wish.serializable || !can_be_judged()) return true;
    auto const look = look_ahead(
        rest, {database_, *shared_.texts, *shared_.judges, names_, facts_of(unnamed_.facts),
               unnamed_.kept ? std::string_view(unnamed_.body).substr(0, unnamed_.body.find('\0')) : std::string_view{},
               wish.route == Route::replica});
    if (look.where == Outlook::Where::more) return false;
    wants_standby_ = look.where == Outlook::Where::standby;
    trial_text_ = look.text;
    trial_changes_names_ = look.changes_names;
    return true;
}

// Whether the next batch is to get a server of its own. One batch after the other at a standby: what comes behind it
// may belong to the primary, which takes several at once. But where a batch goes may depend on the session's settings:
// they have to be known.
bool Session::must_wait() const {
    if (server_->unsynced || server_->copying_in) return false;
    if (on_standby_) return server_->owes() || (sent_ && server_->status == 'I');
    if (server_->status != 'I' || shared_.policy->mode == PoolMode::session) return false;
    auto const& owed = server_->owed();
    return owed.empty() ? sent_ && pinned_.empty() : std::ranges::all_of(owed, &Owed::hidden);
}

void Session::begin_trial() {
    bool const wanted = std::exchange(wants_standby_, seed_.reads == Reads::standby);
    on_standby_ = wanted && seed_.reads == Reads::split && server_->is_standby();
    sent_ = checking_ = trial_ = again_ = false;
    // Without the extension nobody tells where a commit ended.
    if (!wanted && phase_ == Phase::ready && !server_->tells_xids) {
        blind_ = true;
        shared_.newest_blind = true;
    }
    if (!on_standby_) return;
    trial_ = true;
    held_.clear();
    flight_.clear();
    trial_reported_ = reported_;
    trial_names_.reset();
    if (trial_changes_names_) trial_names_ = std::make_unique<std::pair<Names, Unnamed>>(names_, unnamed_);
}

// Holds what came of an answer, until it is whole or too long to be held.
void Session::end_trial() {
    if (again_) return out.resize(trial_mark_);
    bool const over = server_ == nullptr || phase_ == Phase::closing || (sent_ && !owes_client() && !restoring_);
    held_.append(out, trial_mark_);
    out.resize(trial_mark_);
    if (!over && held_.size() <= kHeldMax) return;
    out += held_;
    held_.clear();
    held_.shrink_to_fit();
    trial_ = flight_kept_ = false;
    trial_names_.reset();
}

// True when the error is not the client's: the batch is to be run at the primary.
bool Session::begins_again(std::string_view code) {
    if (again_) return true;
    if (!trial_ || !flight_kept_ || !may_pass_elsewhere(code)) return false;
    if (is_refusal(code)) shared_.judges->refused(database_, trial_text_);
    trial_ = false;
    again_ = true;
    return true;
}

// All that the standby had to say is gone, and nothing of it went out.
void Session::run_again() {
    ++shared_.figures.totals.runs_again;
    trial_ = again_ = restoring_ = checking_ = false;
    held_.clear();
    out.resize(std::min(out.size(), trial_mark_));
    reported_ = trial_reported_;
    also_told_ = nullptr;
    undo_.clear();
    if (trial_names_) std::tie(names_, unnamed_) = std::move(*std::exchange(trial_names_, nullptr));
    in_.insert(0, flight_);
    flight_.clear();
    flight_kept_ = false;
    pass_ = answer_pass_ = 0;
    sent_ = insists_ = true;
}

void Session::lost_in_trial() {
    server_ = nullptr;
    server_in_.clear();
    run_again();
    need_ = Need::nothing;
    advance();
}

// Tells the client what differs on this server from what it was told last.
void Session::tell_reported() {
    if (phase_ == Phase::welcome || reported_ == server_->reported || also_told_ == server_->reported) return;
    bool told = false;
    for (auto const& [name, value] : *server_->reported) {
        // Which it is on changes from read to read, and says nothing about the session.
        if (seed_.reads == Reads::split && name == "in_hot_standby") continue;
        auto const known = reported_->find(name);
        if (known != reported_->end() && known->second == value) continue;
        protocol::write_parameter(out, name, value);
        told = true;
    }
    also_told_ = told ? nullptr : std::move(reported_);
    reported_ = server_->reported;
}

// ---- what a read has to see ----

void Session::attach_to_check(Server& server, Lsn lsn) {
    check_lsn_ = lsn;
    replayed_.reset();
    server_ = &server;
    need_ = Need::nothing;
    begin_trial();
    checking_ = true;
    protocol::write_query(server.out, kReplayQuestion);
    server.owe({Reply::replay, true});
    server.unnamed = 0;
    begin_restore();
}

void Session::take_replay(std::string_view body) {
    protocol::Reader reader(body);
    if (reader.u16() != 1) return;
    auto const length = reader.u32();
    if (length == 0xffffffffU) return;
    if (auto const lsn = parse_lsn(reader.bytes(length))) replayed_ = lsn;
}

void Session::replay_told() {
    checking_ = false;
    if (replayed_ && !(*replayed_ < check_lsn_)) {
        if (!restoring_) tell_reported();
        return settle();
    }
    // Not yet, or it is no standby any more. Nothing was sent to it.
    trial_ = on_standby_ = false;
    wants_standby_ = true;
    need_ = Need::server;
}

// Behind the answer, on the same server: a later position than any that the answer can have seen. The client does not
// wait for it, its next statement does.
void Session::ask_shown() {
    bool const wanted = std::exchange(showed_, false) && seed_.reads != Reads::primary &&
                        shared_.policy->mode != PoolMode::session && wishes().monotonic;
    if (!wanted) return;
    shown_blind_ = true;
    protocol::write_query(server_->out, kShownQuestion);
    server_->owe({Reply::shown, true});
    server_->unnamed = 0;
}

void Session::take_shown(std::string_view body) {
    protocol::Reader reader(body);
    if (reader.u16() != 1) return;
    auto const length = reader.u32();
    auto const lsn = length == 0xffffffffU ? std::nullopt : parse_lsn(reader.bytes(length));
    if (!lsn || server_->timeline().value == 0) return;
    shown_ = later(shown_, {server_->timeline(), *lsn});
    shown_blind_ = false;
}

bool Session::owes_client() {
    return server_->owes() &&
           !std::ranges::all_of(server_->owed(), [](Owed const& one) { return one.reply == Reply::shown; });
}

Sight Session::sight() {
    Sight wanted;
    auto const& wish = wishes();
    if (wish.causal != Causal::off) {
        wanted = {token_, {}, blind_, blind_since_};
        if (wish.causal == Causal::global) {
            wanted.token = later(wanted.token, shared_.newest);
            wanted.blind = wanted.blind || shared_.newest_blind;
            wanted.since = std::max(wanted.since, shared_.newest_since);
        }
    }
    if (wish.monotonic) {
        wanted.shown = shown_;
        wanted.blind = wanted.blind || shown_blind_;
    }
    if (!min_lost_) wanted.token = later(wanted.token, wish.min_lsn);
    return wanted;
}

void Session::token_lost() {
    auto const& wish = wishes();
    auto const gone = sight().token;
    tell_warning(to_string(gone) + " is not in the history any more: the commit was lost in a failover");
    if (token_ == gone) token_ = {};
    if (wish.min_lsn == gone) min_lost_ = true;
    if (shared_.newest == gone) shared_.newest = {};
}

void Session::note_commit(std::string_view text) {
    auto const lsn = parse_lsn(text);
    if (!lsn || server_ == nullptr) return;
    if (server_->timeline().value == 0) {
        blind_ = true;
        shared_.newest_blind = true;
        return;
    }
    Token const now{server_->timeline(), *lsn};
    token_ = later(token_, now);
    shared_.newest = later(shared_.newest, now);
    blind_since_ = {};
}

// SHOW is answered by the server: so it works as every SHOW does, prepared or not.
void Session::tell_lsn() {
    if (is_replication()) return;
    if (server_->unsynced || server_->status == 'E' || server_->copying_in) return;
    protocol::write_query(server_->out,
                          "SELECT pg_catalog.set_config('keel.lsn', " + quote_literal(to_string(token_)) + ", false)");
    server_->owe({Reply::tell, true});
    server_->unnamed = 0;
}

void Session::tell_warning(std::string_view text) {
    protocol::write_report(out, 'N', {"WARNING", "01000", text, {}, {}});
}

}  // namespace keel::proxy
