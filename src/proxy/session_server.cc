// A server's answers on their way to the client.
#include <algorithm>

#include "proxy/session.h"

namespace keel::proxy {

namespace {
// Of an error or a notice: severity and SQLSTATE stand at its beginning.
constexpr std::size_t kReportHead = 512;
constexpr std::size_t kSmallMax = 64 * 1024;

// Of our own queries those whose rows say something.
bool tells_us(Reply reply) {
    return reply == Reply::learn || reply == Reply::fate || reply == Reply::replay || reply == Reply::shown;
}

bool is_loss(std::string_view code) { return code == "57P01" || code == "57P02" || code == "57P03"; }
}  // namespace

void Session::from_server(std::string_view bytes) {
    trial_mark_ = out.size();
    hear(bytes);
    if (trial_ || again_) end_trial();
    trial_mark_ = kNoMark;
    // What had to wait behind an answer (a batch after an error) may go on.
    if (server_ != nullptr && need_ == Need::nothing && !in_.empty()) advance();
}

void Session::hear(std::string_view bytes) {
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
        if (!trial_ && out.size() != before) flight_kept_ = false;
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
    if (server_in_.empty() && server_in_.capacity() > kKeptMax) server_in_.shrink_to_fit();
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
            if (!owes || !tells_us(reply))
                return pass_answer({head.kind, head.type, protocol::peek_run(head, rest)}, rest, hidden);
            if (!whole) return 0;
            take_own_row(reply, body());
            return head.size;
        case '1':
        case '3':
            if (!in_order(owes && reply == (head.type == '1' ? Reply::parse : Reply::close))) return 0;
            if (reply == Reply::parse || server_->next().undoes) (void)take_undo();
            server_->paid();
            return pass(hidden);
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
            server_->copying_in = false;
            if (head.type == 'C' && whole) take_complete(body());
            if (owes && reply == Reply::execute) {
                if (server_->next().commits) server_->committed = true;
                server_->paid();
            }
            return pass(hidden);
        case 'G':
        case 'W':
            begin_copy();
            return pass(hidden);
        case 'A':
            // It answers nothing: it may come in the middle of our own queries, and is the client's all the same.
            return pass(false);
        case 'd':
            return pass_answer({head.kind, head.type, protocol::peek_run(head, rest)}, rest, hidden);
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

void Session::take_own_row(Reply reply, std::string_view body) {
    switch (reply) {
        case Reply::learn:
            return take_row(body);
        case Reply::replay:
            return take_replay(body);
        case Reply::shown:
            return take_shown(body);
        default:
            lost_->fate = body;
    }
}

Session::Undo Session::take_undo() {
    if (undo_.empty()) return {.taken = true};
    auto one = std::move(undo_.front());
    undo_.pop_front();
    return one;
}

// `refused`, else skipped. `kept`: what the server had before of this statement it still has.
void Session::take_back(Undo& one, bool refused, bool kept) {
    if (one.taken) return;
    if (one.evicted) return server_->prepared.put_back(std::move(one.statement));
    if (one.statement && !kept) server_->prepared.remove(one.statement->number);
    if (!one.name.empty()) {
        if (!one.visible) return;
        if (one.before)
            names_[one.name] = std::move(one.before);
        else
            names_.erase(one.name);
    } else if (!one.statement) {
        // Whatever becomes of it, Parse of the unnamed statement drops the one before.
        // What a batch behind this one gave is not touched.
        if (server_->unnamed == one.unnamed) server_->unnamed = refused ? 0 : one.server_unnamed;
        if (one.visible && unnamed_.number == one.unnamed)
            unnamed_ = refused ? Unnamed{} : std::move(one.unnamed_before);
    }
}

// The tags of the commands that drop prepared statements of a session.
void Session::take_complete(std::string_view body) {
    if (body == std::string_view("DISCARD ALL\0", 12) || body == std::string_view("DEALLOCATE ALL\0", 15)) {
        // Not the unnamed one.
        server_->prepared.clear();
        names_.clear();
    } else if (body == std::string_view("DEALLOCATE\0", 11) && server_->owes()) {
        auto const number = std::exchange(server_->next().drops, 0);
        if (number == 0 || number == kDropsAll) return;
        server_->prepared.remove(number);
        names_.erase(dropping_);
    }
}

void Session::take_parameter(std::string_view body) {
    protocol::Reader reader(body);
    auto const name = reader.text();
    auto const value = reader.text();
    server_->parameter(name, value);
    if (name == "pgkeel.commit_lsn") note_commit(value);
    bool const hidden = phase_ == Phase::welcome || (server_->owes() && server_->next().hidden);
    if (hidden || name.starts_with("pgkeel.")) return;
    if (name == "in_hot_standby" && seed_.reads == Reads::split) return;
    protocol::write_parameter(out, name, value);
    reported_ = server_->reported;
    also_told_ = nullptr;
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
        if (extended && at->reply == Reply::sync) {
            at = owed.erase(at);
            server_->unsynced = true;
        } else {
            ++at;
        }
    }
}

// Up to the next Sync the server answers nothing any more.
void Session::skip_batch() {
    auto& owed = server_->owed();
    std::vector<std::pair<Undo, bool>> undone;
    bool const refused = !owed.empty() && owed.front().reply == Reply::parse;
    for (bool first = true; !owed.empty() && owed.front().reply != Reply::sync; first = false) {
        auto const one = owed.front();
        if (one.reply == Reply::parse || one.undoes) undone.emplace_back(take_undo(), one.keeps && !first);
        owed.pop_front();
    }
    server_->skipping = owed.empty();
    for (auto at = undone.rbegin(); at != undone.rend(); ++at)
        take_back(at->first, refused && at + 1 == undone.rend(), at->second);
}

// Of a statement the server says the name that it has there; the client is told its own.
std::size_t Session::tell_in_own_words(std::string_view body, std::size_t at, std::string_view taken) {
    std::string told(body);
    auto const end = told.find('"', at + 1);
    auto const name = told.substr(at + 1, end == std::string::npos ? end : end - at - 1);
    auto const known = std::ranges::find_if(names_, [&](auto const& one) { return one.second->name == name; });
    auto const own = !taken.empty() || known == names_.end() ? taken : std::string_view(known->first);
    if (!own.empty()) told.replace(at + 1, name.size(), own);
    protocol::Message(out, 'E').bytes(told);
    return protocol::kHead + body.size();
}

std::size_t Session::take_error(protocol::Head const& head, std::string_view rest) {
    auto const body = rest.substr(protocol::kHead, std::min(head.size, rest.size()) - protocol::kHead);
    auto const report = protocol::parse_report(body);
    bool const fatal = report.severity == "FATAL" || report.severity == "PANIC";
    bool const owes = server_->owes();
    Reply const reply = owes ? server_->next().reply : Reply::sync;
    if (fatal) {
        server_->mark_broken(report.code, report.message);
        bool const ended = is_loss(report.code) || (server_->is_standby() && report.code == "40001");
        if (ended || trial_ || again_ || (owes && server_->next().hidden)) {
            lost(true);
            return 0;
        }
        if (rest.size() < head.size && head.size <= kSmallMax) return 0;
        refuse(body);
        return 0;
    }
    server_->copying_in = false;
    bool const ours = owes && reply >= Reply::restore;
    bool const again = !ours && begins_again(report.code);
    auto const taken = owes && reply == Reply::parse && !undo_.empty() && undo_.front().taken ? undo_.front().name : "";
    if (ours) {
        if (reply == Reply::restore)
            restore_refused_.reset(new Refused{std::string(report.code), std::string(report.message)});
        if (reply == Reply::learn) learning_->failed = true;
    } else if (owes && !ends_in_ready(reply)) {
        // Also that of a statement which was prepared for the client is the client's.
        skip_batch();
    }
    if (!ours && !again) shared_.figures.totals.errors_of_servers.add(report.code);
    auto const named = ours || again || rest.size() < head.size ? std::string_view::npos : body.find("\"keel_");
    if (named != std::string_view::npos) return tell_in_own_words(body, named, taken);
    return pass_answer(head, rest, ours || again);
}

void Session::take_row(std::string_view body) {
    protocol::Reader reader(body);
    if (reader.u16() != 2) return;
    auto const name = reader.bytes(reader.u32());
    auto const length = reader.u32();
    auto const value = length == 0xffffffffU ? std::string_view{} : reader.bytes(length);
    if (!reader.good()) {
        learning_->failed = true;
        return;
    }
    auto& pins = learning_->pins;
    if (!name.empty())
        learning_->settings[std::string(name)] = value;
    else
        pins.append(pins.empty() ? "" : ", ").append(value);
}

void Session::take_ready(char status) {
    auto const owed = server_->next();
    server_->paid();
    server_->status = status;
    server_->committed = false;
    if (status == 'I') server_->xid = 0;
    if (owed.reply == Reply::restore) {
        restoring_ = false;
        if (auto const refused = std::move(restore_refused_)) {
            server_->retire = true;
            // A standby that lags may not know the role yet.
            if (on_standby_) return run_again();
            return refuse(refused->code, refused->text);
        }
        tell_reported();
    } else if (owed.reply == Reply::learn) {
        learnt();
    } else if (owed.reply == Reply::fate) {
        return fate_told();
    } else if (owed.reply == Reply::replay) {
        return replay_told();
    } else if (!owed.hidden) {
        // In place of ReadyForQuery: behind it nobody reads the error before the next query.
        if (status != 'I' && shared_.policy->mode == PoolMode::statement && !is_replication())
            return refuse("08P01", "transaction blocks not allowed in statement pooling mode");
        protocol::write_ready(out, status);
        showed_ = true;
        if (status == 'I') ++transactions;
    }
    settle();
}

// Everything was answered: what is left to do before the server may go.
void Session::settle() {
    if (!server_->is_free()) return;
    if (again_) return run_again();
    if (phase_ == Phase::welcome) return finish_login();
    if (!std::exchange(ask_, false) || is_replication()) return ask_shown();
    learning_ = std::make_unique<Learning>();
    protocol::write_query(server_->out, question(custom_, user_));
    server_->owe({Reply::learn, true});
    server_->unnamed = 0;
}

void Session::attach(Server& server) {
    server_ = &server;
    if (need_ == Need::fate) return ask_fate(server);
    need_ = Need::nothing;
    begin_trial();
    // Its startup packet had them.
    if (is_replication()) server.settings = settings_;
    begin_restore();
    if (!server.owes()) {
        tell_reported();
        trial_reported_ = reported_;
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
