// A session's messages on their way to the server.
#include <algorithm>

#include "proxy/session.h"

namespace keel::proxy {

namespace {

// Up to here a message is looked at as a whole; a longer one is forwarded by its length, and what it does is found out
// afterwards.
constexpr std::size_t kWholeMax = 64 * 1024;
constexpr std::size_t kParseMax = 1024 * 1024;
// A name that no statement on a server has.
constexpr std::string_view kNobody = "keel_none";

std::string_view body_of(protocol::Head const& head, std::string_view rest) {
    return rest.substr(protocol::kHead, std::min(head.size, rest.size()) - protocol::kHead);
}

}  // namespace

void Session::from_client(std::string_view bytes) {
    in_ += bytes;
    advance();
}

void Session::carry_on() { advance(); }

bool Session::is_full() const {
    if (server_ != nullptr && server_->out.size() > shared_.policy->buffer_bytes) return true;
    if (phase_ != Phase::ready) return in_.size() >= protocol::kStartupMax * 2;
    return in_.size() >= (need_ == Need::nothing && !restoring_ ? kParseMax + protocol::kHead : kWholeMax);
}

void Session::advance() {
    std::size_t used = 0;
    while (need_ == Need::nothing && phase_ != Phase::closing) {
        std::string_view const rest = std::string_view(in_).substr(used);
        std::size_t step = 0;
        if (phase_ == Phase::ready) {
            if (server_ != nullptr && server_->out.size() > shared_.policy->buffer_bytes) break;
            if (rest.empty() || restoring_ || asking_fate_) break;
            step = take_message(rest);
            if (step == 0) break;
        } else if (phase_ == Phase::first) {
            bool const more = take_first(rest, step);
            used += step;
            if (!more) break;
            continue;
        } else if (phase_ == Phase::proof && !rest.empty()) {
            bool const more = take_proof(rest, step);
            used += step;
            if (!more) break;
            continue;
        } else {
            break;
        }
        used += step;
    }
    in_.erase(0, used);
    if (in_.empty() && in_.capacity() > 4096) in_ = {};
}

void Session::protocol_violation(std::string_view text) { refuse("08P01", text); }

bool Session::is_whole(protocol::Head const& head, std::string_view rest) {
    return head.kind == protocol::Head::Kind::message && rest.size() >= head.size;
}

// How much of `rest` was taken; 0: nothing goes on for now.
std::size_t Session::take_message(std::string_view rest) {
    if (pass_ > 0) {
        auto const count = std::min(pass_, rest.size());
        if (!pass_drop_ && server_ != nullptr) server_->out += rest.substr(0, count);
        pass_ -= count;
        if (server_ != nullptr) server_->pass = pass_drop_ ? 0 : pass_;
        return count;
    }
    auto const head = protocol::peek_head(rest);
    if (head.kind == protocol::Head::Kind::malformed) {
        protocol_violation("invalid message length");
        return 0;
    }
    if (std::string_view("QPBDECSHFdcfX").find(head.type) == std::string_view::npos) {
        protocol_violation("invalid frontend message type " + std::to_string(static_cast<unsigned char>(head.type)));
        return 0;
    }
    if (head.kind == protocol::Head::Kind::need_more) return 0;
    if (head.type == 'X') {
        need_ = Need::close;
        phase_ = Phase::closing;
        return head.size;
    }
    if (detached_.active()) {
        auto const taken = take_detached(head, rest);
        if (taken > 0 || detached_.active()) return taken;
    }
    if (head.type == 'd' || head.type == 'c' || head.type == 'f') return take_copy(head, rest);
    if (server_ == nullptr) {
        // Nothing was begun: there is nothing to synchronise or to flush.
        if (head.type == 'S') protocol::write_ready(out, 'I');
        if (head.type == 'S' || head.type == 'H') return std::min(head.size, rest.size());
        need_ = Need::server;
        return 0;
    }
    if (server_->settings != settings_ && server_->is_free() && begin_restore()) return 0;
    if (server_->copying_in) return forward(head, rest);
    // After an error the server drops everything up to the next Sync, and so does the proxy.
    if (server_->skipping && head.type != 'S') {
        pass_ = head.size;
        pass_drop_ = true;
        return take_message(rest);
    }
    switch (head.type) {
        case 'Q':
            return take_query(head, rest);
        case 'P':
            return take_parse(head, rest);
        case 'B':
            return take_bind(head, rest);
        case 'D':
        case 'C':
            return take_named(head, rest);
        case 'E':
            return take_execute(head, rest);
        case 'S':
            return take_sync(head, rest);
        case 'F':
            ++queries;
            ask_ = true;
            server_->owe({Reply::function});
            return forward(head, rest);
        default:
            server_->unsynced = true;
            return forward(head, rest);
    }
}

std::size_t Session::take_detached(protocol::Head const& head, std::string_view rest) {
    if (!is_whole(head, rest)) {
        if (head.size <= kParseMax) return 0;
        protocol_violation("message too long in an aborted transaction");
        return 0;
    }
    bool const taken = detached_.take(head.type, body_of(head, rest), out, {*shared_.texts, *shared_.prepared, names_});
    return taken ? head.size : 0;
}

// The whole of what is there of this message; the rest follows as it comes.
std::size_t Session::forward(protocol::Head const& head, std::string_view rest) {
    pass_ = head.size;
    pass_drop_ = false;
    return take_message(rest);
}

std::size_t Session::take_copy(protocol::Head const& head, std::string_view rest) {
    // Data that comes too late, after an error, is dropped by PostgreSQL as well. Data that comes before the server has
    // asked for it may be meant for a COPY that is on its way.
    bool const wanted = server_ != nullptr && (server_->copying_in || server_->owes());
    if (!wanted) {
        pass_ = head.size;
        pass_drop_ = true;
        return take_message(rest);
    }
    if (head.type != 'd') {
        if (server_->copying_in)
            server_->copying_in = false;
        else
            server_->owe({Reply::copy_end, true});
    }
    return forward(head, rest);
}

void Session::note(TextFacts const& facts) {
    if (facts.asks_session) ask_ = true;
    if (facts.loads) server_->retire = true;
    if (facts.loads && pinned_.empty()) pinned_ = "LOAD";
    for (auto const& name : facts.custom) {
        if (std::ranges::find(custom_, name) == custom_.end()) custom_.push_back(name);
    }
}

std::size_t Session::take_query(protocol::Head const& head, std::string_view rest) {
    if (!is_whole(head, rest) && head.size <= kWholeMax) return 0;
    ++queries;
    auto const& facts = head.size <= kWholeMax ? shared_.texts->of(protocol::Reader(body_of(head, rest)).text())
                                               : shared_.texts->unread();
    if (!facts.deallocates.empty() && rewrite_deallocate(facts.deallocates)) return head.size;
    note(facts);
    server_->unnamed = 0;
    server_->owe({Reply::query, false, facts.has_commit || facts.verb == sql::Verb::unknown});
    return forward(head, rest);
}

// A client that drops a statement of the protocol by its own name for it, in SQL.
bool Session::rewrite_deallocate(std::string const& name) {
    auto const known = names_.find(name);
    if (known == names_.end()) return false;
    ensure(known->second);
    protocol::write_query(server_->out, "DEALLOCATE " + known->second->name);
    server_->owe({Reply::query});
    server_->prepared.remove(known->second->number);
    server_->unnamed = 0;
    names_.erase(known);
    return true;
}

// Has the server prepare this statement, if it has not.
void Session::ensure(PreparedPtr const& statement) {
    if (server_->prepared.use(statement->number)) return;
    std::vector<PreparedPtr> closed;
    server_->prepared.add(statement, shared_.policy->prepared_max, closed);
    for (auto const& old : closed) {
        protocol::Message(server_->out, 'C').u8('S').text(old->name);
        server_->owe({Reply::close, true});
    }
    protocol::Message(server_->out, 'P').text(statement->name).bytes(statement->body);
    server_->owe({Reply::parse, true});
    undo_.push_back({{}, statement, false});
}

void Session::ensure_unnamed() {
    if (server_->unnamed == unnamed_.number) return;
    protocol::Message(server_->out, 'P').text("").bytes(unnamed_.body);
    server_->owe({Reply::parse, true});
    undo_.push_back({{}, nullptr, false});
    server_->unnamed = unnamed_.number;
}

std::size_t Session::take_parse(protocol::Head const& head, std::string_view rest) {
    if (!is_whole(head, rest) && head.size <= kParseMax) return 0;
    auto const body = body_of(head, rest);
    protocol::Reader reader(body);
    auto const name = reader.text();
    if (!reader.good()) {
        protocol_violation("invalid string in message");
        return 0;
    }
    auto const statement_body = reader.rest();
    bool const whole = is_whole(head, rest);
    auto const& facts = whole && head.size <= kWholeMax ? shared_.texts->of(reader.text()) : shared_.texts->unread();
    server_->unsynced = true;
    if (name.empty()) {
        unnamed_.number = ++shared_.unnamed_next;
        unnamed_.kept = whole && head.size <= kWholeMax;
        unnamed_.body.assign(unnamed_.kept ? statement_body : std::string_view{});
        unnamed_.facts = facts;
        server_->unnamed = unnamed_.number;
        server_->owe({Reply::parse});
        undo_.push_back({{}, nullptr, true});
        return forward(head, rest);
    }
    if (!whole) {
        refuse("54000", "a named prepared statement may have 1 MB through the proxy");
        return 0;
    }
    auto const known = names_.find(std::string(name));
    if (known != names_.end()) {
        // The name is taken: the server says so itself, in the words for a name that it has.
        ensure(known->second);
        protocol::Message(server_->out, 'P').text(known->second->name).bytes(statement_body);
        server_->owe({Reply::parse});
        undo_.push_back({{}, nullptr, true});
        return head.size;
    }
    auto const statement = shared_.prepared->intern(statement_body);
    names_[std::string(name)] = statement;
    if (server_->prepared.use(statement->number)) {
        protocol::Message(server_->out, 'C').u8('S').text(kNobody);
        server_->owe({Reply::parse_known});
        undo_.push_back({std::string(name), nullptr, true});
        return head.size;
    }
    ensure(statement);
    server_->owed().back().hidden = false;
    undo_.back() = {std::string(name), statement, true};
    return head.size;
}

// What the server calls the statement that the client calls `name`.
std::string Session::server_name(std::string_view name) {
    if (name.empty()) {
        if (unnamed_.number == 0) return std::string(kNobody);
        if (server_->unnamed != unnamed_.number && !unnamed_.kept) return std::string(kNobody);
        ensure_unnamed();
        return {};
    }
    auto const known = names_.find(std::string(name));
    if (known == names_.end()) return std::string(name.starts_with("keel_") ? kNobody : name);
    ensure(known->second);
    return known->second->name;
}

std::size_t Session::take_bind(protocol::Head const& head, std::string_view rest) {
    protocol::Reader reader(body_of(head, rest));
    auto const portal = reader.text();
    auto const name = reader.text();
    if (!reader.good()) {
        if (!is_whole(head, rest) && rest.size() < kWholeMax) return 0;
        protocol_violation("invalid string in message");
        return 0;
    }
    ++queries;
    auto const known = name.empty() ? names_.end() : names_.find(std::string(name));
    TextFacts const& facts = name.empty()            ? unnamed_.facts
                             : known == names_.end() ? shared_.texts->unread()
                                                     : shared_.texts->of(known->second->text());
    if (known != names_.end() || name.empty()) note(facts);
    if (portal.empty())
        portal_ = facts;
    else if (facts.has_commit || facts.verb == sql::Verb::unknown)
        named_portal_commits_ = true;
    auto const wanted = server_name(name);
    server_->unsynced = true;
    server_->owe({Reply::bind});
    if (wanted == name) return forward(head, rest);
    auto const old_names = protocol::kHead + portal.size() + name.size() + 2;
    auto const length = static_cast<std::uint32_t>(head.size - 1 - name.size() + wanted.size());
    auto& to = server_->out;
    to += 'B';
    for (unsigned shift = 32; shift > 0; shift -= 8) to += static_cast<char>(length >> (shift - 8U));
    to.append(portal).append(1, '\0').append(wanted).append(1, '\0');
    pass_ = head.size - old_names;
    pass_drop_ = false;
    server_->pass = pass_;
    return old_names;
}

// Describe and Close.
std::size_t Session::take_named(protocol::Head const& head, std::string_view rest) {
    if (!is_whole(head, rest)) {
        if (head.size > kWholeMax) protocol_violation("invalid message length");
        return 0;
    }
    protocol::Reader reader(body_of(head, rest));
    char const kind = static_cast<char>(reader.u8());
    auto const name = reader.text();
    if (!reader.good() || !reader.at_end()) {
        protocol_violation("invalid message format");
        return 0;
    }
    server_->unsynced = true;
    bool const close = head.type == 'C';
    if (kind != 'S') {
        server_->owe({close ? Reply::close : Reply::describe_portal});
        return forward(head, rest);
    }
    if (!close) {
        auto const wanted = server_name(name);
        server_->owe({Reply::describe_statement});
        protocol::Message(server_->out, 'D').u8('S').text(wanted);
        return head.size;
    }
    server_->owe({Reply::close});
    // A statement stays on its server: others may have the same one. Closing what is not there is no error.
    std::string_view const wanted = name.empty() ? name : kNobody;
    if (name.empty()) {
        unnamed_ = {};
        server_->unnamed = 0;
    } else {
        names_.erase(std::string(name));
    }
    protocol::Message(server_->out, 'C').u8('S').text(wanted);
    return head.size;
}

std::size_t Session::take_execute(protocol::Head const& head, std::string_view rest) {
    if (!is_whole(head, rest)) {
        if (head.size > kWholeMax) protocol_violation("invalid message length");
        return 0;
    }
    Owed owed{Reply::execute};
    if (protocol::Reader(body_of(head, rest)).text().empty()) {
        owed.commits = portal_.has_commit || portal_.verb == sql::Verb::unknown;
    } else {
        owed.commits = named_portal_commits_;
    }
    server_->unsynced = true;
    server_->owe(owed);
    return forward(head, rest);
}

std::size_t Session::take_sync(protocol::Head const& head, std::string_view rest) {
    server_->unsynced = false;
    server_->skipping = false;
    server_->owe({Reply::sync});
    return forward(head, rest);
}

}  // namespace keel::proxy
