// A session's messages on their way to the server.
#include <algorithm>

#include "proxy/session.h"

namespace keel::proxy {

namespace {

// What is kept to be sent again.
constexpr std::size_t kFlightMax = 16 * 1024;

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
            bool const fresh = server_ != nullptr && server_->is_free();
            step = take_message(rest);
            if (step == 0) break;
            keep_flight(rest.substr(0, step), fresh);
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
    server_->owe({Reply::query, false, facts.has_commit || facts.verb == sql::Verb::unknown, facts.splits});
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

}  // namespace keel::proxy
