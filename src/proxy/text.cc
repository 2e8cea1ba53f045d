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

bool is_read(Verb verb) {
    switch (verb) {
        case Verb::select:
        case Verb::values:
        case Verb::table:
        case Verb::show:
        case Verb::explain:
        case Verb::copy_to:
            return true;
        default:
            return false;
    }
}

// What the split needs to know of a text that is one statement.
void look_for_reads(sql::Statement const& one, TextFacts& out) {
    auto const& modes = one.transaction;
    out.reads = is_read(one.verb) && !out.asks_session && one.settings.empty();
    out.shows_lsn = one.verb == Verb::show && one.name == "keel.lsn";
    // No standby can do SERIALIZABLE.
    out.begins_read_only = one.verb == Verb::begin && modes.read_only.value_or(false) && !modes.snapshot &&
                           modes.isolation != sql::Isolation::serializable;
}

}  // namespace

TextFacts look_at(std::string_view text) {
    TextFacts out;
    auto const pieces = sql::split(text);
    out.statements = pieces.statements.size();
    out.asks_session = out.splits = !pieces.certain;
    bool first = true;
    for (auto const piece : pieces.statements) {
        auto const one = sql::classify(piece, {}, sql::Look::session);
        if (first) out.verb = one.verb;
        if (first) out.hint = one.hint;
        if (one.verb == Verb::commit_prepared) out.blind_commit = true;
        if (first) out.chain = one.transaction.chain;
        first = false;
        if (one.verb == Verb::commit || one.verb == Verb::prepare_transaction || one.verb == Verb::commit_prepared)
            out.has_commit = true;
        if (one.verb == Verb::rollback) out.rolls_back = true;
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
        if (one.all && (one.verb == Verb::deallocate || one.verb == Verb::discard)) out.drops_all = true;
        for (auto const& setting : one.settings) {
            if (setting.name.find('.') != std::string::npos) out.custom.push_back(setting.name);
        }
        if (pieces.statements.size() == 1 && one.verb == Verb::deallocate && !one.all) out.deallocates = one.name;
        if (pieces.statements.size() == 1 && pieces.certain) look_for_reads(one, out);
    }
    // What stands behind a ROLLBACK commits by itself.
    if (out.rolls_back && out.statements > 1) out.has_commit = true;
    if (out.has_commit && out.statements > 1) out.splits = true;
    if (out.statements == 0) out.verb = Verb::empty;
    return out;
}

FactsPtr const& TextCache::of(std::string_view text) {
    auto const key = sql::hash_text(key_, text);
    if (auto const found = known_.find(key); found != known_.end()) return found->second;
    // Starting over is cheaper than an order of use, and bounds the memory as well.
    if (known_.size() >= kMost) known_.clear();
    auto facts = std::make_shared<TextFacts>(look_at(text));
    facts->key = key;
    return known_.emplace(key, std::move(facts)).first->second;
}

}  // namespace keel::proxy
