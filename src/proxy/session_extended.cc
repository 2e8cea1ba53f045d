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
    else if (facts.has_commit || facts.splits)
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
        owed.splits = portal_.splits;
    } else {
        // Which portal it is, is not remembered.
        owed.commits = owed.splits = named_portal_commits_;
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
