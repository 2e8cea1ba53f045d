// Who may log in from where and how: rules in the manner of pg_hba.conf, the first that matches decides.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace keel::auth {

// md5 as in PostgreSQL: by SCRAM when the role's verifier is one.
enum class Method { reject, trust, scram, md5, cert };
char const* to_string(Method method);

// An address of either family as 16 bytes (IPv4 mapped into ::ffff:0:0/96, as RFC 4291 says).
struct Address {
    std::array<std::uint8_t, 16> bytes = {};
    bool is_v4 = false;
    auto operator<=>(Address const&) const = default;
};
std::optional<Address> parse_address(std::string_view text);

struct Rule {
    enum class Connection { local, host, hostssl, hostnossl };
    // clientcert: must the client show a certificate of an authority that is trusted, and must it be the user's.
    enum class Certificate { none, of_authority, of_user };
    // all, names, or users: members of a role (+name). Of databases only: sameuser (named as the user), samerole (named
    // as a role that the user is, or is a member of), replication (which `all` does not mean).
    struct Who {
        bool all = false;
        bool same_user = false;
        bool same_role = false;
        bool replication = false;
        std::vector<std::string> names = {};
        std::vector<std::string> groups = {};
    };
    Connection connection = Connection::host;
    Who databases = {};
    Who users = {};
    bool any_address = false;
    Address address = {};
    int prefix = 0;  // bits of the family's own address
    Method method = Method::reject;
    Certificate certificate = Certificate::none;  // with cert: of_user
    int line = 0;
};

struct RuleProblem {
    std::string file;
    int line = 0;
    std::string text;
    std::string mend = {};
};
// "file:line: text\n    mend: ...".
std::string to_string(RuleProblem const& problem);

struct Rules {
    std::vector<Rule> rules = {};
    // All that is wrong, in order. With any, the rules must not be used.
    std::vector<RuleProblem> problems = {};
};
// TYPE DATABASE USER [ADDRESS [MASK]] METHOD [clientcert=verify-ca|verify-full], one a line; # begins a comment. TYPE
// is local, host, hostssl or hostnossl; lists have commas; a quoted word is never a keyword. Not known, and refused as
// such: files (@name), regular expressions, host names, samehost, samenet, other options.
Rules parse_rules(std::string_view text, std::string const& file);
// What rules can be kept at all where they are to hold; what cannot becomes a problem of its line.
struct RulesPlace {
    bool tls = false;        // clients are offered TLS
    bool authority = false;  // there is one that clients' certificates are checked against
    bool may_vouch = false;  // it can log in at a server for who has shown no password
};
void check_rules(Rules& rules, std::string const& file, RulesPlace const& place);

struct Visitor {
    std::string database = {};
    std::string user = {};
    std::optional<Address> address = {};  // none: a unix socket
    bool tls = false;
    bool replication = false;              // replication=true in the startup packet
    std::vector<std::string> groups = {};  // as in User
};
// The first that matches; none: the visitor is refused.
Rule const* match(std::vector<Rule> const& rules, Visitor const& visitor);
// What he is told then, or when the rule rejects him: PostgreSQL's own words (28000). `from`: his address; empty:
// local.
std::string refusal_of(Rule const* rule, Visitor const& visitor, std::string const& from);

}  // namespace keel::auth
