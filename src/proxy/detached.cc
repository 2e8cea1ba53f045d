#include "proxy/detached.h"

#include "protocol/frame.h"

namespace keel::proxy {

namespace {

bool is_exit(TextFacts const& facts) {
    return facts.statements == 1 && !facts.chain &&
           (facts.verb == sql::Verb::rollback || facts.verb == sql::Verb::commit);
}

}  // namespace

void Detached::begin(bool aborted, bool skip, bool told) {
    aborted_ = aborted;
    skip_ = skip;
    told_ = told;
    unnamed_ = sql::Verb::unknown;
    portals_.clear();
}

void Detached::refuse(std::string& out, bool extended) {
    if (!told_) {
        protocol::write_report(out, 'E',
                               {"ERROR", "40001", "the transaction was lost with its server",
                                "Nothing of this transaction is stored.", "Run it again."});
    } else {
        protocol::write_report(out, 'E',
                               {"ERROR",
                                "25P02",
                                "current transaction is aborted, commands ignored until end of transaction block",
                                {},
                                {}});
    }
    told_ = true;
    if (extended)
        skip_ = true;
    else
        protocol::write_ready(out, aborted_ ? 'E' : 'I');
}

bool Detached::take_query(std::string_view text, std::string& out, TextCache& texts) {
    auto const& facts = *texts.of(text);
    if (facts.verb == sql::Verb::rollback && facts.statements > 1) {
        aborted_ = false;
        return false;
    }
    // Who has not heard yet that the transaction is lost must not take the answer to COMMIT for good news.
    bool const untold = !told_ && facts.verb != sql::Verb::rollback;
    if (!is_exit(facts) || untold) {
        if (is_exit(facts)) aborted_ = false;
        refuse(out, false);
        return true;
    }
    aborted_ = false;
    protocol::write_command_complete(out, "ROLLBACK");
    protocol::write_ready(out, 'I');
    return true;
}

void Detached::take_parse(std::string_view body, std::string& out, Context& context) {
    protocol::Reader reader(body);
    std::string const name(reader.text());
    auto const rest = reader.rest();
    if (!is_exit(*context.texts.of(reader.text())) || (!name.empty() && context.names.contains(name)))
        return refuse(out, true);
    if (name.empty())
        unnamed_ = context.texts.of(protocol::Reader(rest).text())->verb;
    else
        context.names[name] = context.prepared.intern(rest);
    protocol::write_bare(out, '1');
}

// Its verb, when it ends the transaction.
sql::Verb Detached::exit_of(std::string const& statement, Context& context) const {
    if (statement.empty()) return unnamed_;
    auto const known = context.names.find(statement);
    if (known == context.names.end()) return sql::Verb::unknown;
    auto const& facts = *context.texts.of(known->second->text());
    return is_exit(facts) ? facts.verb : sql::Verb::unknown;
}

bool Detached::take_bind(std::string_view body, std::string& out, Context& context) {
    protocol::Reader reader(body);
    std::string portal(reader.text());
    auto const verb = exit_of(std::string(reader.text()), context);
    if (verb == sql::Verb::unknown) return false;
    portals_[std::move(portal)] = verb == sql::Verb::rollback;
    protocol::write_bare(out, '2');
    return true;
}

bool Detached::take(char type, std::string_view body, std::string& out, Context context) {
    if (type == 'S') {
        skip_ = false;
        protocol::write_ready(out, aborted_ ? 'E' : 'I');
        return true;
    }
    if (skip_ || type == 'H' || type == 'd' || type == 'c' || type == 'f') return true;
    protocol::Reader reader(body);
    bool good = true;
    if (type == 'Q') return take_query(reader.text(), out, context.texts);
    if (type == 'P') {
        take_parse(body, out, context);
    } else if (type == 'B') {
        good = take_bind(body, out, context);
    } else if (type == 'D') {
        bool const statement = reader.u8() == 'S';
        std::string const name(reader.text());
        good = statement ? exit_of(name, context) != sql::Verb::unknown : portals_.contains(name);
        if (good && statement) protocol::Message(out, 't').u16(0);
        if (good) protocol::write_bare(out, 'n');
    } else if (type == 'E') {
        auto const portal = portals_.find(std::string(reader.text()));
        good = portal != portals_.end();
        if (good) aborted_ = false;
        good = good && (told_ || portal->second);
        if (good) protocol::write_command_complete(out, "ROLLBACK");
    } else if (type == 'C') {
        bool const statement = reader.u8() == 'S';
        if (statement) context.names.erase(std::string(reader.text()));
        protocol::write_bare(out, '3');
    } else {
        refuse(out, false);
    }
    if (!good) refuse(out, true);
    return true;
}

}  // namespace keel::proxy
