#include "proxy/text.h"

namespace keel::proxy {

namespace {

using sql::Verb;

// A function may do anything: what a plain read or write calls is not looked into. What says that it changes the
// session, or may, is.
bool may_change_session(sql::Statement const& one) {
    for (auto const& setting : one.settings) {
        if (!setting.local) return true;
    }
    if (one.pins.any()) return true;
    switch (one.verb) {
        case Verb::unknown:
        case Verb::set:
        case Verb::reset:
        case Verb::discard:
        case Verb::prepare:
        case Verb::deallocate:
        case Verb::listen:
        case Verb::unlisten:
        case Verb::close:
        case Verb::do_block:
        case Verb::call:
        case Verb::create_temp:
        case Verb::utility:
            return true;
        default:
            return false;
    }
}

// A procedure may commit inside, and so may a DO block and some utilities (CREATE INDEX CONCURRENTLY, VACUUM).
bool may_split(sql::Statement const& one) {
    switch (one.verb) {
        case Verb::unknown:
        case Verb::do_block:
        case Verb::call:
        case Verb::utility:
            return true;
        default:
            return one.transaction.chain;
    }
}

}  // namespace

TextFacts look_at(std::string_view text) {
    TextFacts out;
    auto const pieces = sql::split(text);
    out.statements = pieces.statements.size();
    out.asks_session = out.splits = !pieces.certain;
    bool first = true;
    for (auto const piece : pieces.statements) {
        auto const one = sql::classify(piece);
        if (first) out.verb = one.verb;
        if (first) out.chain = one.transaction.chain;
        first = false;
        if (one.verb == Verb::commit || one.verb == Verb::prepare_transaction || one.verb == Verb::commit_prepared)
            out.has_commit = true;
        if (may_split(one)) out.splits = true;
        // SET LOCAL alone leaves nothing behind.
        bool const local_only = one.verb == Verb::set && !one.settings.empty() && !one.pins.any() && [&] {
            for (auto const& setting : one.settings) {
                if (!setting.local) return false;
            }
            return true;
        }();
        if (!local_only && may_change_session(one)) out.asks_session = true;
        if (one.pins.load) out.loads = true;
        for (auto const& setting : one.settings) {
            if (setting.name.find('.') != std::string::npos) out.custom.push_back(setting.name);
        }
        if (pieces.statements.size() == 1 && one.verb == Verb::deallocate && !one.all) out.deallocates = one.name;
    }
    if (out.has_commit && out.statements > 1) out.splits = true;
    if (out.statements == 0) out.verb = Verb::empty;
    return out;
}

TextFacts const& TextCache::of(std::string_view text) {
    auto const key = sql::hash_text(key_, text);
    if (auto const found = known_.find(key); found != known_.end()) return found->second;
    // Starting over is cheaper than an order of use, and bounds the memory as well.
    if (known_.size() >= kMost) known_.clear();
    return known_.emplace(key, look_at(text)).first->second;
}

}  // namespace keel::proxy
