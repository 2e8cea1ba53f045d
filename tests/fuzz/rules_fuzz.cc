// The proxy's rules in the manner of pg_hba.conf: edited by people.
#include <algorithm>

#include "auth/rules.h"
#include "fuzz.h"

namespace keel::fuzz {

std::vector<std::string> seeds() {
    return {"# rules\nlocal all postgres trust\nhostssl a,\"b c\" u1 , u2 10.0.0.0/8 scram-sha-256\n",
            "hostnossl sameuser all 192.168.1.7 255.255.255.0 md5\nhostssl replication rep ::/0 cert\n",
            "host all all ::ffff:172.16.0.0/108 reject\nhost \"all\" +x fd00::1.2.3.4/8 trust x=y\n",
            "hostssl all all all md5 clientcert=verify-ca\nhostssl all all all cert clientcert=verify-full\n"};
}

void eat(std::string_view bytes) {
    auto const parsed = auth::parse_rules(bytes, "hba");
    auto const lines = 1 + std::ranges::count(bytes, '\n');
    for (auto const& problem : parsed.problems) {
        must(problem.line >= 1 && problem.line <= lines && !problem.text.empty() && !problem.mend.empty());
        must(auth::to_string(problem).starts_with("hba:"));
    }
    must(parsed.rules.size() + parsed.problems.size() <= static_cast<std::size_t>(lines));
    for (auto const& rule : parsed.rules) must(rule.prefix >= 0 && rule.prefix <= (rule.address.is_v4 ? 32 : 128));
    for (auto const& rule : parsed.rules)
        must(rule.certificate == auth::Rule::Certificate::none || rule.connection == auth::Rule::Connection::hostssl);
    for (auto const* address : {"10.1.2.3", "192.168.1.7", "fd00::1", "::1"}) {
        auth::Visitor const visitor{"a", "u1", auth::parse_address(address), true, false};
        auto const* const rule = auth::match(parsed.rules, visitor);
        if (rule == nullptr || rule->any_address) continue;
        must(rule->address.is_v4 == visitor.address->is_v4 && rule->connection != auth::Rule::Connection::local);
    }
    auto const address = auth::parse_address(bytes);
    if (address) must(bytes.find('.') != std::string_view::npos || bytes.find(':') != std::string_view::npos);
}

}  // namespace keel::fuzz
