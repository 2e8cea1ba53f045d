// A session's messages of the extended protocol: statements under names that no server has twice.
#include <algorithm>

#include "proxy/session.h"

namespace keel::proxy {

namespace {

// A name that no statement on a server has.
constexpr std::string_view kNobody = "keel_none";

std::string_view body_of(protocol::Head const& head, std::string_view rest) {
    return rest.substr(protocol::kHead, std::min(head.size, rest.size()) - protocol::kHead);
}

}  // namespace

// Has the server prepare this statement, if it has not.
void Session::ensure(PreparedPtr const& statement) {
    if (server_->prepared.use(statement->number)) return;
    std::vector<PreparedPtr> closed;
    server_->prepared.add(statement, shared_.policy->prepared_max, closed);
    for (auto const& old : closed) {
        protocol::Message(server_->out, 'C').u8('S').text(old->name);
        server_->owe({.reply = Reply::close, .hidden = true, .undoes = true});
        undo_.push_back({.statement = old, .evicted = true});
    }
    protocol::Message(server_->out, 'P').text(statement->name).bytes(statement->body);
    server_->owe({Reply::parse, true});
    undo_.push_back({{}, statement, false});
}

// The client gives another unnamed statement.
void Session::begin_unnamed() {
    auto const number = ++shared_.unnamed_next;
    undo_.push_back({.visible = true,
                     .unnamed_before = std::exchange(unnamed_, {}),
                     .server_unnamed = std::exchange(server_->unnamed, number),
                     .unnamed = number});
    unnamed_.number = number;
}

void Session::prepare_anew(PreparedPtr const& statement) {
    protocol::Message(server_->out, 'C').u8('S').text(statement->name);
    server_->owe({Reply::close, true});
    protocol::Message(server_->out, 'P').text(statement->name).bytes(statement->body);
    server_->owe({.reply = Reply::parse, .hidden = true, .keeps = true});
    undo_.push_back({{}, statement, false});
}

void Session::drop_unnamed() {
    protocol::Message(server_->out, 'C').u8('S').text("");
    server_->owe({Reply::close, true});
    server_->unnamed = 0;
}

void Session::ensure_unnamed() {
    if (server_->unnamed == unnamed_.number) return;
    protocol::Message(server_->out, 'P').text("").bytes(unnamed_.body);
    server_->owe({Reply::parse, true});
    undo_.push_back({.server_unnamed = server_->unnamed, .unnamed = unnamed_.number});
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
    if (facts->shows_lsn) tell_lsn();
    server_->unsynced = true;
    if (name.empty()) {
        if (whole && parse_deallocate(statement_body, facts)) return head.size;
        begin_unnamed();
        unnamed_.kept = whole && head.size <= kWholeMax;
        unnamed_.body.assign(unnamed_.kept ? statement_body : std::string_view{});
        unnamed_.facts = facts;
        server_->owe({Reply::parse});
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
        undo_.push_back({std::string(name), known->second, true, true});
        return head.size;
    }
    auto const statement = shared_.prepared->intern(statement_body);
    names_[std::string(name)] = statement;
    // Others may have prepared it here before, for what was under its names then. The client is told what its own Parse
    // gives now: an error, other types.
    if (server_->prepared.use(statement->number))
        prepare_anew(statement);
    else
        ensure(statement);
    server_->owed().back().hidden = false;
    undo_.back() = {std::string(name), statement, true};
    return head.size;
}

// A client that drops a statement of the protocol by its own name for it, in SQL by the extended protocol.
bool Session::parse_deallocate(std::string_view body, FactsPtr const& facts) {
    auto const known = facts->deallocates.empty() ? names_.end() : names_.find(facts->deallocates);
    if (known == names_.end()) return false;
    auto const sql = drop_by_sql(known->second);
    protocol::Message(server_->out, 'P').text("").text(sql).u16(0);
    begin_unnamed();
    unnamed_.kept = true;
    unnamed_.body = body;
    unnamed_.facts = facts;
    server_->owe({Reply::parse});
    return true;
}

TextFacts const& Session::facts_of(FactsPtr const& facts) {
    static TextFacts const none;
    return facts ? *facts : none;
}

// What the server calls the statement that the client calls `name`.
std::string Session::server_name(std::string_view name) {
    if (name.empty()) {
        // Of another client's there must be nothing left: the server says that there is none.
        if (unnamed_.number == 0 || (server_->unnamed != unnamed_.number && !unnamed_.kept))
            drop_unnamed();
        else
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
    auto const& shared = name.empty()            ? unnamed_.facts
                         : known == names_.end() ? shared_.texts->unread()
                                                 : shared_.texts->of(known->second->text());
    auto const& facts = facts_of(shared);
    if (known != names_.end() || name.empty()) note(facts);
    if (facts.shows_lsn) tell_lsn();
    if (portal.empty())
        portal_ = shared;
    else if (facts.has_commit || facts.rolls_back || facts.splits)
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
    server_->owe({.reply = Reply::close, .undoes = true});
    // A statement stays on its server: others may have the same one. Closing what is not there is no error.
    std::string_view const wanted = name.empty() ? name : kNobody;
    Undo undo{.name = std::string(name), .visible = true, .server_unnamed = server_->unnamed};
    if (name.empty()) {
        undo.unnamed_before = std::exchange(unnamed_, {});
        server_->unnamed = 0;
    } else if (auto const known = names_.find(undo.name); known != names_.end()) {
        undo.before = std::move(known->second);
        names_.erase(known);
    }
    undo_.push_back(std::move(undo));
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
        auto const& facts = facts_of(portal_);
        owed.commits = facts.has_commit || facts.verb == sql::Verb::unknown;
        owed.rolls_back = facts.rolls_back;
        owed.splits = facts.splits;
        owed.drops = number_dropped(facts);
        dropping_ = facts.deallocates;
    } else {
        // Which portal it is, is not remembered.
        owed.commits = owed.splits = named_portal_commits_;
    }
    server_->unsynced = true;
    server_->owe(owed);
    auto const taken = forward(head, rest);
    // What comes behind it waits for the answer, and that would wait for the end of the batch.
    if (owed.drops != 0) protocol::write_bare(server_->out, 'H');
    return taken;
}

std::size_t Session::take_sync(protocol::Head const& head, std::string_view rest) {
    server_->unsynced = false;
    server_->skipping = false;
    names_wait_ = std::ranges::any_of(undo_, [](Undo const& one) { return one.visible && !one.name.empty(); });
    server_->owe({Reply::sync});
    return forward(head, rest);
}

}  // namespace keel::proxy
