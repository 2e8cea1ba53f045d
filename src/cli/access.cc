// `pgkeel access`: tokens with a role, for people and programs that are not on a node.
#include "web/access.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "cli/client.h"
#include "cli/time_text.h"

namespace keel::cli {

namespace {

struct AccessOptions {
    std::string name, role;
    std::string expires = "90d";
    bool bare = false;
};

Answer<cluster::Role> role_of(std::string const& text) {
    for (auto const role : {cluster::Role::read, cluster::Role::operate, cluster::Role::admin}) {
        if (text == web::role_text(role)) return role;
    }
    return stop(kUsage, Code::invalid, fmt::format("--role {}: there is no such role", text),
                "read (look), operate (switchover, pause, restart), or admin (everything)");
}

std::string until(std::int64_t expires_unix_ms) {
    return expires_unix_ms == 0 ? "until it is removed" : "until " + cluster::utc_text(expires_unix_ms);
}

Done add(Agent const& agent, AccessOptions const& options) {
    web::AccessRequest request;
    request.name = options.name;
    KEEL_TRY(request.role, role_of(options.role));
    if (options.expires != "never") {
        KEEL_TRY(request.valid_s, parse_span_s(options.expires));
    }
    KEEL_TRY(auto const made, agent.post<web::AccessAnswer>("/access", request));
    if (options.bare) {
        fmt::print("{}\n", made.token);
        return {};
    }
    fmt::print(
        "Access token {} has the role {} {}. It is shown only now; keep it in a file that only its user can read:\n\n"
        "    {}\n\n"
        "It is used by `pgkeel status --host HOST --token-file FILE`, by the variable PGKEEL_TOKEN, or by the header "
        "`Authorization: Bearer ...`.\n",
        options.name, options.role, until(made.expires_unix_ms), made.token);
    return {};
}

Done list(Agent const& agent) {
    KEEL_TRY(auto const all, agent.read<std::vector<cluster::Access>>("/access"));
    if (all.empty()) fmt::print("There is no access token.\n");
    for (auto const& one : all)
        fmt::print("{:<20}  {:<7}  {}, made by {}\n", one.name, web::role_text(one.role), until(one.expires_unix_ms),
                   one.made_by);
    return {};
}

Done remove(Agent const& agent, std::string const& name) {
    KEEL_CHECK(agent.post("/access/remove", web::AccessName{name}));
    fmt::print("Access token {} opens nothing any more.\n", name);
    return {};
}

}  // namespace

void add_access(Commands& commands) {
    auto const options = std::make_shared<AccessOptions>();
    auto& access = commands.add_bare("access", "Tokens with a role, for whoever is not on a node");
    access.require_subcommand(1);
    auto& added = commands.add_below(access, "add", "Make one; it is shown once");
    added.add_option("name", options->name, "Whose it is; the history names it")->required();
    added.add_option("--role", options->role, "read, operate or admin")->required();
    added.add_option("--expires", options->expires, "After 30m, 24h, 90d, or never")->capture_default_str();
    added.add_flag("--bare", options->bare, "Print the token alone, for a file");
    commands.on(added, [options, &commands]() -> Done {
        KEEL_TRY(auto const agent, Agent::find(commands.reach()));
        return add(agent, *options);
    });
    auto& listed = commands.add_below(access, "list", "All of them, without their secrets");
    commands.on(listed, [&commands]() -> Done {
        KEEL_TRY(auto const agent, Agent::find(commands.reach()));
        return list(agent);
    });
    auto& removed = commands.add_below(access, "remove", "Take one back");
    removed.add_option("name", options->name, "As `pgkeel access list` shows it")->required();
    commands.on(removed, [options, &commands]() -> Done {
        KEEL_TRY(auto const agent, Agent::find(commands.reach()));
        return remove(agent, options->name);
    });
}

}  // namespace keel::cli
