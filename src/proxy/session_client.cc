// A session's messages on their way to the server.
#include <algorithm>

#include "proxy/outlook.h"
#include "proxy/session.h"

namespace keel::proxy {

namespace {

std::string_view body_of(protocol::Head const& head, std::string_view rest) {
    return rest.substr(protocol::kHead, std::min(head.size, rest.size()) - protocol::kHead);
}

// How much of a message has to be there before anything is done with it.
std::size_t begins_with(protocol::Head const& head) {
    auto const whole = head.type == 'P' ? kParseMax : kWholeMax;
    return head.size <= whole ? head.size : kWholeMax;
}

}  // namespace

void Session::from_client(std::string_view bytes) {
    if (!in_.empty()) {
        in_ += bytes;
        return advance();
    }
    // Without a rest from before, what came is looked at where it lies.
    auto const used = take_messages(bytes);
    in_ = bytes.substr(used);
}

void Session::carry_on() { advance(); }

bool Session::is_full() const {
    if (server_ != nullptr && server_->out.size() > shared_.policy->buffer_bytes) return true;
    if (phase_ != Phase::ready) return in_.size() >= protocol::kStartupMax * 2;
    return in_.size() >= (need_ == Need::nothing && !restoring_ ? kParseMax + protocol::kHead : kWholeMax);
}

void Session::advance() {
    in_.erase(0, take_messages(in_));
    if (in_.empty() && in_.capacity() > kKeptMax) in_.shrink_to_fit();
}

// How much of what the client sent was taken.
std::size_t Session::take_messages(std::string_view all) {
    std::size_t used = 0;
    while (need_ == Need::nothing && phase_ != Phase::closing) {
        auto const rest = all.substr(used);
        std::size_t step = 0;
        if (phase_ == Phase::ready) {
            if (server_ != nullptr && server_->out.size() > shared_.policy->buffer_bytes) break;
            if (rest.empty() || restoring_ || asking_fate_ || checking_ || again_) break;
            bool const fresh = server_ != nullptr && server_->is_free();
            step = take_message(rest);
            if (step == 0) break;
            keep_flight(rest.substr(0, step), fresh);
        } else if (phase_ == Phase::console && !rest.empty()) {
            step = take_command(rest);
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
    return used;
}

void Session::keep_flight(std::string_view bytes, bool fresh) {
    if (fresh) {
        flight_.clear();
        flight_kept_ = true;
    }
    if (!flight_kept_) return;
    if (server_ == nullptr || server_->status != 'I' || flight_.size() + bytes.size() > kFlightMax) {
        flight_kept_ = false;
        flight_.clear();
    } else {
        flight_ += bytes;
    }
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
    if (detached_ && detached_->active()) {
        auto const taken = take_detached(head, rest);
        if (taken > 0 || detached_->active()) return taken;
    }
    if (head.type == 'd' || head.type == 'c' || head.type == 'f') return take_copy(head, rest);
    if (server_ == nullptr) return ask_server(head, rest);
    if (seed_.reads == Reads::split && must_wait()) return 0;
    sent_ = true;
    if (server_->settings != settings_ && server_->is_free() && begin_restore()) return 0;
    if (!server_->owes()) names_wait_ = false;
    if (server_->copying_in) return forward(head, rest);
    // What ends a batch does not wait: the server answers when it comes.
    bool const ends = head.type == 'S' || head.type == 'H';
    if (!ends && (server_->is_dropping() || (names_wait_ && server_->owes()))) return 0;
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

// Without a server: nothing was begun, so there is nothing to synchronise or to flush.
std::size_t Session::ask_server(protocol::Head const& head, std::string_view rest) {
    if (head.type == 'S') protocol::write_ready(out, 'I');
    if (head.type == 'S' || head.type == 'H') return std::min(head.size, rest.size());
    // What cannot be begun yet must not hold one.
    if (rest.size() < begins_with(head)) return 0;
    if (choose_server(rest)) need_ = Need::server;
    return 0;
}

std::size_t Session::take_detached(protocol::Head const& head, std::string_view rest) {
    if (!is_whole(head, rest)) {
        if (head.size <= kParseMax) return 0;
        protocol_violation("message too long in an aborted transaction");
        return 0;
    }
    bool const taken =
        detached_->take(head.type, body_of(head, rest), out, {*shared_.texts, *shared_.prepared, names_});
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
        return forward(head, rest);
    }
    pass_ = protocol::peek_run(head, rest);
    pass_drop_ = false;
    return take_message(rest);
}

void Session::note(TextFacts const& facts) {
    if (facts.asks_session) ask_ = true;
    if (facts.blind_commit) blind_ = shared_.newest_blind = true;
    if (facts.loads) server_->retire = true;
    if (facts.loads && pinned_.empty()) pinned_ = "LOAD";
    for (auto const& name : facts.custom) {
        if (std::ranges::find(custom_, name) == custom_.end()) custom_.push_back(name);
    }
}

std::size_t Session::take_query(protocol::Head const& head, std::string_view rest) {
    if (!is_whole(head, rest) && head.size <= kWholeMax) return 0;
    ++queries;
    unnamed_ = {};  // as PostgreSQL does
    auto const& facts = *(head.size <= kWholeMax ? shared_.texts->of(protocol::Reader(body_of(head, rest)).text())
                                                 : shared_.texts->unread());
    if (!facts.deallocates.empty() && rewrite_deallocate(facts.deallocates)) return head.size;
    note(facts);
    if (facts.shows_lsn) tell_lsn();
    server_->unnamed = 0;
    server_->owe({.commits = facts.has_commit || facts.verb == sql::Verb::unknown,
                  .rolls_back = facts.rolls_back,
                  .splits = facts.splits,
                  .drops = facts.drops_all ? kDropsAll : 0});
    return forward(head, rest);
}

// Of the client's statements of the protocol; 0: it drops none.
std::uint64_t Session::number_dropped(TextFacts const& facts) const {
    if (facts.drops_all) return kDropsAll;
    auto const known = facts.deallocates.empty() ? names_.end() : names_.find(facts.deallocates);
    return known == names_.end() ? 0 : known->second->number;
}

// SQL that does to this server what the client means. What it does not have cannot be prepared first, as that might
// fail; an empty statement, which cannot, stands in.
std::string Session::drop_by_sql(PreparedPtr const& statement) {
    if (server_->prepared.use(statement->number)) return "DEALLOCATE " + statement->name;
    constexpr std::string_view kStandIn = "keel_dropped";
    protocol::Message(server_->out, 'C').u8('S').text(kStandIn);
    server_->owe({Reply::close, true});
    protocol::Message(server_->out, 'P').text(kStandIn).text("").u16(0);
    server_->owe({Reply::parse, true});
    undo_.push_back({.taken = true});
    return "DEALLOCATE " + std::string(kStandIn);
}

// A client that drops a statement of the protocol by its own name for it, in SQL.
bool Session::rewrite_deallocate(std::string const& name) {
    auto const known = names_.find(name);
    if (known == names_.end()) return false;
    protocol::write_query(server_->out, drop_by_sql(known->second));
    server_->owe({.drops = known->second->number});
    dropping_ = name;
    server_->unnamed = 0;
    return true;
}

}  // namespace keel::proxy
