// A server's answers on their way to the client.
#include <algorithm>

#include "proxy/session.h"

namespace keel::proxy {

namespace {
// Of an error or a notice: severity and SQLSTATE stand at its beginning.
constexpr std::size_t kReportHead = 512;
constexpr std::size_t kSmallMax = 64 * 1024;

bool is_loss(std::string_view code) { return code == "57P01" || code == "57P02" || code == "57P03"; }

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

void Session::from_server(std::string_view bytes) {
    if (!server_in_.empty()) server_in_ += bytes;
    // Without a rest from before, what came is looked at where it lies.
    std::string_view const all = server_in_.empty() ? bytes : std::string_view(server_in_);
    std::size_t used = 0;
    while (used < all.size() && server_ != nullptr && phase_ != Phase::closing) {
        auto const rest = all.substr(used);
        if (answer_pass_ > 0) {
            auto const count = std::min(answer_pass_, rest.size());
            if (!answer_hidden_) out += rest.substr(0, count);
            answer_pass_ -= count;
            used += count;
            continue;
        }
        auto const head = protocol::peek_head(rest);
        if (head.kind == protocol::Head::Kind::malformed) {
            server_->mark_broken("08P01", "the server sent what is no message of PostgreSQL's protocol");
            lost(false);
            return;
        }
        if (head.kind == protocol::Head::Kind::need_more) break;
        auto const before = out.size();
        auto const step = take_answer(head, rest);
        if (out.size() != before) flight_kept_ = false;
        if (step == 0) break;
        used += step;
    }
    if (server_ == nullptr || phase_ == Phase::closing) {
        server_in_.clear();
        return;
    }
    if (server_in_.empty())
        server_in_ = all.substr(used);
    else
        server_in_.erase(0, used);
    if (server_in_.empty() && server_in_.capacity() > 4096) server_in_ = {};
    // What had to wait behind an answer (a batch after an error) may go on.
    if (need_ == Need::nothing && !in_.empty()) advance();
}

// True when the server may say this now; else it is out of step, and not to be used any more.
bool Session::in_order(bool fits) {
    if (fits) return true;
    server_->mark_broken("08P01", "the server's answer does not fit what it was asked");
    lost(false);
    return false;
}

// What is there of a message, to the client or nowhere; the rest of it follows as it comes.
std::size_t Session::pass_answer(protocol::Head const& head, std::string_view rest, bool hide) {
    auto const count = std::min(head.size, rest.size());
    answer_pass_ = head.size - count;
    answer_hidden_ = hide;
    if (!hide) out += rest.substr(0, count);
    return count;
}

// How much of `rest` was taken; 0: more is needed, or all is over. What is not whole is passed on by its length.
std::size_t Session::take_answer(protocol::Head const& head, std::string_view rest) {
    bool const owes = server_->owes();
    Reply const reply = owes ? server_->next().reply : Reply::sync;
    bool hidden = owes && server_->next().hidden;
    auto const pass = [&](bool hide) { return pass_answer(head, rest, hide); };
    bool const whole = rest.size() >= head.size;
    auto const body = [&] { return rest.substr(protocol::kHead, head.size - protocol::kHead); };
    switch (head.type) {
        case 'D':
            if ((reply != Reply::learn && reply != Reply::fate) || !owes) return pass(hidden);
            if (!whole) return 0;
            if (reply == Reply::learn)
                take_row(body());
            else
                fate_ = body();
            return head.size;
        case '1':
        case '3':
            if (!in_order(owes && (head.type == '1' ? reply == Reply::parse
                                                    : reply == Reply::close || reply == Reply::parse_known)))
                return 0;
            if (reply != Reply::close) undo_parse(false);
            server_->paid();
            if (reply == Reply::parse_known) protocol::write_bare(out, '1');
            return pass(hidden || reply == Reply::parse_known);
        case '2':
            if (!in_order(owes && reply == Reply::bind)) return 0;
            server_->paid();
            return pass(false);
        case 't':
            if (!in_order(owes && reply == Reply::describe_statement)) return 0;
            server_->next().reply = Reply::describe_portal;
            return pass(false);
        case 'T':
        case 'n':
            if (owes && reply == Reply::describe_portal) server_->paid();
            return pass(hidden);
        case 's':
        case 'I':
        case 'C':
            if (!whole && head.size <= kSmallMax) return 0;
            if (head.type == 'C' && whole) take_complete(body());
            server_->copying_in = false;
            if (owes && reply == Reply::execute) {
                if (server_->next().commits) server_->committed = true;
                server_->paid();
            }
            return pass(hidden);
        case 'G':
        case 'W':
            begin_copy();
            return pass(hidden);
        case 'E':
            if (!whole && rest.size() < kReportHead) return 0;
            return take_error(head, rest);
        case 'S':
            if (!whole) return 0;
            take_parameter(body());
            return head.size;
        case 'Z':
            if (!whole) return 0;
            if (!in_order(owes && ends_in_ready(reply))) return 0;
            take_ready(head.size > protocol::kHead ? rest[protocol::kHead] : 'I');
            return head.size;
        default:
            return pass(hidden);
    }
}

void Session::undo_parse(bool failed) {
    if (undo_.empty()) return;
    auto const one = std::move(undo_.front());
    undo_.pop_front();
    if (!failed) return;
    if (one.statement) server_->prepared.remove(one.statement->number);
    if (one.visible && !one.name.empty()) names_.erase(one.name);
    if (!one.statement && one.name.empty()) {
        server_->unnamed = 0;
        if (one.visible) unnamed_ = {};
    }
}

// The tags of the two commands that drop every prepared statement of a session.
void Session::take_complete(std::string_view body) {
    if (body != std::string_view("DISCARD ALL\0", 12) && body != std::string_view("DEALLOCATE ALL\0", 15)) return;
    server_->prepared.clear();
    server_->unnamed = 0;
    names_.clear();
    unnamed_ = {};
}

void Session::take_parameter(std::string_view body) {
    protocol::Reader reader(body);
    auto const name = reader.text();
    auto const value = reader.text();
    server_->parameter(name, value);
    bool const hidden = phase_ == Phase::welcome || (server_->owes() && server_->next().hidden);
    if (hidden || name.starts_with("pgkeel.")) return;
    protocol::write_parameter(out, name, value);
    reported_ = server_->reported;
}

// The server asks for COPY data. Whatever it was sent behind that request it takes for a part of the data: a Sync is
// ignored there.
void Session::begin_copy() {
    auto& owed = server_->owed();
    server_->copying_in = true;
    if (owed.empty()) return;
    bool const extended = owed.front().reply == Reply::execute;
    for (auto at = owed.begin() + 1; at != owed.end();) {
        if (at->reply == Reply::copy_end) {
            server_->copying_in = false;
            break;
        }
        if (extended && at->reply == Reply::sync)
            at = owed.erase(at);
        else
            ++at;
    }
}

// Up to the next Sync the server answers nothing any more.
void Session::skip_batch() {
    auto& owed = server_->owed();
    while (!owed.empty() && owed.front().reply != Reply::sync) {
        auto const one = owed.front();
        if (one.reply == Reply::parse || one.reply == Reply::parse_known) undo_parse(true);
        // It was to make room, and did not.
        if (one.reply == Reply::close && one.hidden) server_->retire = true;
        owed.pop_front();
    }
    server_->skipping = owed.empty();
}

std::size_t Session::take_error(protocol::Head const& head, std::string_view rest) {
    auto const body = rest.substr(protocol::kHead, std::min(head.size, rest.size()) - protocol::kHead);
    auto const report = protocol::parse_report(body);
    bool const fatal = report.severity == "FATAL" || report.severity == "PANIC";
    bool const owes = server_->owes();
    Reply const reply = owes ? server_->next().reply : Reply::sync;
    if (fatal) {
        server_->mark_broken(report.code, report.message);
        if (is_loss(report.code) || (owes && server_->next().hidden)) {
            lost(true);
            return 0;
        }
        if (rest.size() < head.size && head.size <= kSmallMax) return 0;
        refuse(body);
        return 0;
    }
    server_->copying_in = false;
    bool const ours = owes && reply >= Reply::restore;
    if (ours) {
        if (reply == Reply::restore) restore_error_ = report.message;
        if (reply == Reply::restore) restore_code_ = report.code;
        if (reply == Reply::learn) learn_failed_ = true;
    } else if (owes && !ends_in_ready(reply)) {
        // Also that of a statement which was prepared for the client is the client's.
        skip_batch();
    }
    return pass_answer(head, rest, ours);
}

void Session::take_row(std::string_view body) {
    protocol::Reader reader(body);
    if (reader.u16() != 2) return;
    auto const name = reader.bytes(reader.u32());
    auto const length = reader.u32();
    auto const value = length == 0xffffffffU ? std::string_view{} : reader.bytes(length);
    if (!reader.good()) {
        learn_failed_ = true;
        return;
    }
    if (!name.empty())
        learning_[std::string(name)] = value;
    else
        learning_pins_.append(learning_pins_.empty() ? "" : ", ").append(value);
}

void Session::take_ready(char status) {
    auto const owed = server_->next();
    server_->paid();
    server_->status = status;
    server_->committed = false;
    if (status == 'I') server_->xid = 0;
    if (owed.reply == Reply::restore) {
        restoring_ = false;
        if (!restore_error_.empty()) {
            server_->retire = true;
            auto const text = std::exchange(restore_error_, {});
            return refuse(restore_code_, text);
        }
        tell_reported();
    } else if (owed.reply == Reply::learn) {
        learnt();
    } else if (owed.reply == Reply::fate) {
        return fate_told();
    } else if (!owed.hidden) {
        // In place of ReadyForQuery: behind it nobody reads the error before the next query.
        if (status != 'I' && shared_.policy->mode == PoolMode::statement)
            return refuse("08P01", "transaction blocks not allowed in statement pooling mode");
        protocol::write_ready(out, status);
        if (status == 'I') ++transactions;
    }
    settle();
}

// Everything was answered: what is left to do before the server may go.
void Session::settle() {
    if (!server_->is_free()) return;
    if (phase_ == Phase::welcome) return finish_login();
    if (!ask_) return;
    ask_ = false;
    learn_failed_ = false;
    learning_.clear();
    learning_pins_.clear();
    protocol::write_query(server_->out, question(custom_, user_));
    server_->owe({Reply::learn, true});
    server_->unnamed = 0;
}

void Session::learnt() {
    if (learn_failed_) {
        // It keeps this server: what it has become is not known, and must not become another client's.
        pinned_ = "settings could not be read";
        server_->retire = true;
        return;
    }
    settings_ = shared_.settings->intern(std::move(learning_));
    server_->settings = settings_;
    learning_.clear();
    if (pinned_ != "LOAD") pinned_ = std::move(learning_pins_);
    learning_pins_.clear();
}

// Tells the client what differs on this server from what it was told last.
void Session::tell_reported() {
    if (phase_ == Phase::welcome || reported_ == server_->reported) return;
    for (auto const& [name, value] : *server_->reported) {
        auto const known = reported_->find(name);
        if (known == reported_->end() || known->second != value) protocol::write_parameter(out, name, value);
    }
    reported_ = server_->reported;
}

// Status and timeline, as text.
void Session::fate_told() {
    asking_fate_ = false;
    protocol::Reader reader(fate_);
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

// Has the server take this session's settings, if it has others. Until it has, nothing else is sent: under other
// settings (a role, a search path) it would not be what the client means.
bool Session::begin_restore() {
    if (server_->settings == settings_) return false;
    auto const sql = difference(*server_->settings, *settings_);
    server_->settings = settings_;
    if (sql.empty()) return false;
    protocol::write_query(server_->out, sql);
    server_->owe({Reply::restore, true});
    server_->unnamed = 0;
    restoring_ = true;
    return true;
}

void Session::attach(Server& server) {
    server_ = &server;
    if (need_ == Need::fate) {
        asking_fate_ = true;
        fate_.clear();
        need_ = Need::nothing;
        protocol::write_query(server.out, fate_question(lost_xid_));
        server.owe({Reply::fate, true});
        server.unnamed = 0;
        return;
    }
    need_ = Need::nothing;
    begin_restore();
    if (!server.owes()) {
        tell_reported();
        settle();
    }
    advance();
}

bool Session::is_releasable() {
    if (server_ == nullptr || shared_.policy->mode == PoolMode::session) return false;
    return phase_ == Phase::ready && pinned_.empty() && !ask_ && !asking_fate_ && answer_pass_ == 0 && pass_ == 0 &&
           server_->is_free();
}

}  // namespace keel::proxy
