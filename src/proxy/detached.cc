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
    unnamed_ends_ = false;
    portals_.clear();
}

void Detached::refuse(std::string& out, bool extended) {
    if (!told_) {
        protocol::write_report(out, 'E',
                               {"ERROR", "40001", "the transaction was lost with its server",
                                "The primary changed. Nothing of this transaction is stored.", "Run it again."});
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
        protocol::write_ready(out, 'E');
}

bool Detached::take_query(std::string_view text, std::string& out, TextCache& texts) {
    auto const& facts = texts.of(text);
    if (facts.verb == sql::Verb::rollback && facts.statements > 1) {
        aborted_ = false;
        return false;
    }
    if (!is_exit(facts)) {
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
    if (!is_exit(context.texts.of(reader.text())) || (!name.empty() && context.names.contains(name)))
        return refuse(out, true);
    if (name.empty())
        unnamed_ends_ = true;
    else
        context.names[name] = context.prepared.intern(rest);
    protocol::write_bare(out, '1');
}

bool Detached::ends(std::string const& statement, Context& context) const {
    if (statement.empty()) return unnamed_ends_;
    auto const known = context.names.find(statement);
    return known != context.names.end() && is_exit(context.texts.of(known->second->text()));
}

bool Detached::take_bind(std::string_view body, std::string& out, Context& context) {
    protocol::Reader reader(body);
    std::string portal(reader.text());
    if (!ends(std::string(reader.text()), context)) return false;
    portals_.insert(std::move(portal));
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
        good = statement ? ends(name, context) : portals_.contains(name);
        if (good && statement) protocol::Message(out, 't').u16(0);
        if (good) protocol::write_bare(out, 'n');
    } else if (type == 'E') {
        good = portals_.contains(std::string(reader.text()));
        if (good) aborted_ = false;
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
