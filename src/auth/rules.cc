#include "auth/rules.h"

#include <algorithm>
#include <charconv>
#include <tuple>

namespace keel::auth {

namespace {

struct Piece {
    std::string text;
    bool quoted = false;
};
struct Field {
    std::vector<Piece> pieces;  // of a list with commas
};

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r'; }

class Line {
  public:
    Line(std::string_view text, std::string const& file, int number, Rules& rules)
        : text_(text), file_(file), number_(number), rules_(rules) {}

    void parse() {
        if (!cut() || fields_.empty()) return;
        Rule rule;
        rule.line = number_;
        if (!read_type(rule) || !read_who(1, rule.databases, true) || !read_who(2, rule.users, false)) return;
        std::size_t next = 3;
        if (rule.connection != Rule::Connection::local && !read_address(next, rule)) return;
        if (!read_method(next, rule)) return;
        rules_.rules.push_back(std::move(rule));
    }

  private:
    bool complain(std::string text, std::string mend) {
        rules_.problems.push_back({file_, number_, std::move(text), std::move(mend)});
        return false;
    }

    // Into fields; false: complained.
    bool cut() {
        std::size_t at = 0;
        bool joined = false;  // the last field goes on: a comma came
        while (at < text_.size()) {
            if (is_blank(text_[at])) {
                ++at;
                continue;
            }
            if (text_[at] == '#') break;
            if (text_[at] == ',') {
                if (fields_.empty() || joined) return complain("a comma where a word should be", "remove it");
                joined = true;
                ++at;
                continue;
            }
            Piece piece;
            if (!cut_piece(at, piece)) return false;
            if (!joined) fields_.emplace_back();
            fields_.back().pieces.push_back(std::move(piece));
            joined = false;
        }
        return !joined || complain("a comma at the end", "remove it");
    }

    bool cut_piece(std::size_t& at, Piece& piece) {
        if (text_[at] == '"') {
            piece.quoted = true;
            std::size_t const end = text_.find('"', at + 1);
            if (end == std::string_view::npos) return complain("a quote is not closed", "close it on the same line");
            piece.text = text_.substr(at + 1, end - at - 1);
            at = end + 1;
            if (piece.text.empty()) return complain("an empty name", "write a name between the quotes");
            return ends_word(at) || complain("a word goes on behind its quote", "put all of it into the quotes");
        }
        std::size_t end = at;
        while (end < text_.size() && !is_blank(text_[end]) && text_[end] != ',' && text_[end] != '#' &&
               text_[end] != '"')
            ++end;
        piece.text = text_.substr(at, end - at);
        at = end;
        return ends_word(at) || complain("a quote in the middle of a word", "put all of it into the quotes");
    }

    bool ends_word(std::size_t at) const {
        return at == text_.size() || is_blank(text_[at]) || text_[at] == ',' || text_[at] == '#';
    }

    // A field that must be one word; nullptr: complained.
    Piece const* one(std::size_t index, char const* what) {
        if (index >= fields_.size()) {
            complain(std::string("the rule ends before its ") + what,
                     "write TYPE DATABASE USER [ADDRESS] METHOD (no ADDRESS with local)");
            return nullptr;
        }
        if (fields_[index].pieces.size() != 1) {
            complain(std::string("several values for the ") + what, "write one rule for each");
            return nullptr;
        }
        return &fields_[index].pieces.front();
    }

    bool read_type(Rule& rule) {
        Piece const* const type = one(0, "type");
        if (type == nullptr) return false;
        using enum Rule::Connection;
        constexpr std::pair<std::string_view, Rule::Connection> kTypes[] = {
            {"local", local}, {"host", host}, {"hostssl", hostssl}, {"hostnossl", hostnossl}};
        auto const* const found =
            std::ranges::find(kTypes, type->text, &std::pair<std::string_view, Rule::Connection>::first);
        if (found == std::end(kTypes) || type->quoted)
            return complain("\"" + type->text + "\" is no type of connection",
                            "write local, host, hostssl or hostnossl");
        rule.connection = found->second;
        return true;
    }

    bool read_who(std::size_t index, Rule::Who& who, bool databases) {
        char const* const what = databases ? "database" : "user";
        if (index >= fields_.size()) return one(index, what) != nullptr;
        for (auto const& piece : fields_[index].pieces) {
            std::string const& word = piece.text;
            if (piece.quoted) {
                who.names.push_back(word);
            } else if (word == "all") {
                who.all = true;
            } else if (databases && word == "sameuser") {
                who.same_user = true;
            } else if (databases && (word == "samerole" || word == "samegroup")) {
                who.same_role = true;
            } else if (databases && word == "replication") {
                who.replication = true;
            } else if (!databases && word.starts_with('+') && word.size() > 1) {
                who.groups.push_back(word.substr(1));
            } else if (word.starts_with('+') || word.starts_with('@') || word.starts_with('/')) {
                return complain(
                    "\"" + word + "\" is not known here: no files or regular expressions, groups of users only",
                    std::string("list the ") + what + "s by name; put a name that looks so in quotes");
            } else {
                who.names.push_back(word);
            }
        }
        return true;
    }

    bool read_address(std::size_t& next, Rule& rule) {
        Piece const* const field = one(next++, "address");
        if (field == nullptr) return false;
        if (field->text == "all" && !field->quoted) {
            rule.any_address = true;
            return true;
        }
        std::size_t const slash = field->text.find('/');
        auto const address = parse_address(std::string_view(field->text).substr(0, slash));
        if (!address)
            return complain("\"" + field->text + "\" is no address",
                            "write all, 10.0.0.0/8 or fd00::/8: host names, samehost and samenet are not known here");
        rule.address = *address;
        int const max = address->is_v4 && field->text.find(':') == std::string::npos ? 32 : 128;
        if (slash != std::string::npos) {
            if (!read_prefix(field->text.substr(slash + 1), max, rule)) return false;
        } else {
            Piece const* const mask = one(next++, "mask");
            if (mask == nullptr) return false;
            if (!read_mask(mask->text, rule)) return false;
        }
        // ::ffff:10.0.0.0/104 is 10.0.0.0/8.
        if (rule.address.is_v4 && max == 128) {
            rule.address.is_v4 = rule.prefix >= 96;
            if (rule.address.is_v4) rule.prefix -= 96;
        }
        return true;
    }

    bool read_prefix(std::string const& text, int max, Rule& rule) {
        auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), rule.prefix);
        if (error != std::errc{} || end != text.data() + text.size() || rule.prefix < 0 || rule.prefix > max)
            return complain("\"/" + text + "\" is no length of a prefix", "write 0 to " + std::to_string(max));
        return true;
    }

    bool read_mask(std::string const& text, Rule& rule) {
        auto const mask = parse_address(text);
        bool const v4 = text.find(':') == std::string::npos;
        if (!mask || v4 != rule.address.is_v4)
            return complain("\"" + text + "\" is no mask for that address", "write ADDRESS/LENGTH, as in 10.0.0.0/8");
        bool over = false;
        for (std::size_t bit = v4 ? 96 : 0; bit < 128; ++bit) {
            bool const set = ((mask->bytes[bit / 8] >> (7 - bit % 8)) & 1) != 0;
            if (set && over)
                return complain("the mask " + text + " has a gap", "write ADDRESS/LENGTH, as in 10.0.0.0/8");
            over = over || !set;
            rule.prefix += set ? 1 : 0;
        }
        return true;
    }

    bool read_method(std::size_t next, Rule& rule) {
        Piece const* const method = one(next, "method");
        if (method == nullptr) return false;
        constexpr std::pair<std::string_view, Method> kMethods[] = {{"reject", Method::reject},
                                                                    {"trust", Method::trust},
                                                                    {"scram-sha-256", Method::scram},
                                                                    {"md5", Method::md5},
                                                                    {"cert", Method::cert}};
        auto const* const found =
            std::ranges::find(kMethods, method->text, &std::pair<std::string_view, Method>::first);
        if (found == std::end(kMethods) || method->quoted)
            return complain("\"" + method->text + "\" is no method that is known here",
                            "write scram-sha-256, cert, md5, trust or reject");
        rule.method = found->second;
        if (rule.method == Method::cert && rule.connection != Rule::Connection::hostssl)
            return complain("the method cert needs TLS", "write hostssl");
        if (rule.method == Method::cert) rule.certificate = Rule::Certificate::of_user;
        for (std::size_t i = next + 1; i < fields_.size(); ++i) {
            if (!read_option(fields_[i], rule)) return false;
        }
        return true;
    }

    bool read_option(Field const& field, Rule& rule) {
        constexpr std::string_view kName = "clientcert=";
        std::string const& text = field.pieces.front().text;
        if (field.pieces.size() != 1 || !text.starts_with(kName))
            return complain("\"" + text + "\" behind the method: no option but clientcert is known here", "remove it");
        auto const value = std::string_view(text).substr(kName.size());
        if (value != "verify-ca" && value != "verify-full")
            return complain("\"" + text + "\" is no value of clientcert", "write verify-ca or verify-full");
        if (rule.connection != Rule::Connection::hostssl) return complain("clientcert needs TLS", "write hostssl");
        if (rule.method == Method::cert && value == "verify-ca")
            return complain("the method cert is always clientcert=verify-full", "remove the option");
        rule.certificate = value == "verify-ca" ? Rule::Certificate::of_authority : Rule::Certificate::of_user;
        return true;
    }

    std::string_view text_;
    std::string const& file_;
    int number_;
    Rules& rules_;
    std::vector<Field> fields_;
};

bool contains(std::vector<std::string> const& all, std::string const& one) {
    return std::ranges::find(all, one) != all.end();
}

bool is_or_belongs_to(Visitor const& visitor, std::string const& role) {
    return visitor.user == role || contains(visitor.groups, role);
}

bool fits_user(Rule::Who const& who, Visitor const& visitor) {
    return who.all || contains(who.names, visitor.user) ||
           std::ranges::any_of(who.groups, [&](auto const& group) { return is_or_belongs_to(visitor, group); });
}

bool fits_database(Rule::Who const& who, Visitor const& visitor) {
    if (visitor.replication) return who.replication;
    return who.all || contains(who.names, visitor.database) || (who.same_user && visitor.database == visitor.user) ||
           (who.same_role && is_or_belongs_to(visitor, visitor.database));
}

bool fits_address(Rule const& rule, Visitor const& visitor) {
    if (!visitor.address) return rule.connection == Rule::Connection::local;
    if (rule.connection == Rule::Connection::local) return false;
    if (rule.connection == Rule::Connection::hostssl && !visitor.tls) return false;
    if (rule.connection == Rule::Connection::hostnossl && visitor.tls) return false;
    if (rule.any_address) return true;
    // ::/0 is no IPv4 client's rule, as in PostgreSQL: a socket for both families must not widen it.
    if (rule.address.is_v4 != visitor.address->is_v4) return false;
    std::size_t const bits = static_cast<std::size_t>(rule.prefix) + (rule.address.is_v4 ? 96 : 0);
    for (std::size_t bit = 0; bit < bits; ++bit) {
        unsigned const mask = 1U << (7 - bit % 8);
        if (((rule.address.bytes[bit / 8] ^ visitor.address->bytes[bit / 8]) & mask) != 0) return false;
    }
    return true;
}

}  // namespace

char const* to_string(Method method) {
    switch (method) {
        case Method::trust:
            return "trust";
        case Method::scram:
            return "scram-sha-256";
        case Method::md5:
            return "md5";
        case Method::cert:
            return "cert";
        default:
            return "reject";
    }
}

std::string to_string(RuleProblem const& problem) {
    return problem.file + ":" + std::to_string(problem.line) + ": " + problem.text + "\n    mend: " + problem.mend;
}

Rules parse_rules(std::string_view text, std::string const& file) {
    Rules rules;
    for (int number = 1; !text.empty(); ++number) {
        std::size_t const end = std::min(text.find('\n'), text.size());
        Line(text.substr(0, end), file, number, rules).parse();
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return rules;
}

void check_rules(Rules& rules, std::string const& file, RulesPlace const& place) {
    // Nobody could log in any more, not even to mend it.
    if (rules.rules.empty() && rules.problems.empty())
        rules.problems.push_back(
            {file, 1, "there is no rule in it", "write one at least: host all all all scram-sha-256"});
    for (auto const& rule : rules.rules) {
        auto const complain = [&](std::string text, std::string mend) {
            rules.problems.push_back({file, rule.line, std::move(text), std::move(mend)});
        };
        if (rule.connection == Rule::Connection::hostssl && !place.tls)
            complain("hostssl, but clients are not offered TLS", "see tls, cert_file and key_file of [proxy]");
        if (rule.certificate != Rule::Certificate::none && !place.authority)
            complain("clients' certificates cannot be checked: no authority is named",
                     "set client_ca_file of [proxy] in node.toml");
        if ((rule.method == Method::trust || rule.method == Method::cert) && !place.may_vouch)
            complain(std::string("the method ") + to_string(rule.method) +
                         " needs a node's proxy: a proxy host can log in at the servers only with what a client's "
                         "password gives it",
                     "write scram-sha-256, with clientcert=verify-full for a certificate as well");
    }
    std::ranges::sort(rules.problems, {}, [](RuleProblem const& one) { return std::tie(one.line, one.text); });
}

Rule const* match(std::vector<Rule> const& rules, Visitor const& visitor) {
    for (auto const& rule : rules) {
        if (fits_database(rule.databases, visitor) && fits_user(rule.users, visitor) && fits_address(rule, visitor))
            return &rule;
    }
    return nullptr;
}

std::string refusal_of(Rule const* rule, Visitor const& visitor, std::string const& from) {
    std::string text = rule == nullptr ? "no pg_hba.conf entry for" : "pg_hba.conf rejects connection for";
    if (visitor.replication)
        text = rule == nullptr ? "no pg_hba.conf entry for replication connection from"
                               : "pg_hba.conf rejects replication connection for";
    text += " host \"" + (from.empty() ? std::string("[local]") : from) + "\", user \"" + visitor.user + "\", ";
    if (!visitor.replication) text += "database \"" + visitor.database + "\", ";
    return text + (visitor.tls ? "SSL encryption" : "no encryption");
}

}  // namespace keel::auth
