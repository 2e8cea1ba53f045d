// `pgkeel reinit`: a standby's data directory is thrown away and cloned anew.
#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "cli/errand.h"
#include "cli/terminal.h"

namespace keel::cli {

namespace {

struct ReinitOptions {
    std::string member;
    bool yes = false, wait = false;
};

Done reinit(Agent const& agent, ReinitOptions const& options) {
    KEEL_TRY(auto const before, agent.status());
    KEEL_TRY(auto const member, member_named(before, options.member));
    KEEL_CHECK(confirm(fmt::format("The data directory of {} ({}) is thrown away and cloned anew", member.name,
                                   member.postgres.empty() ? member.peer : member.postgres),
                       options.yes));
    KEEL_TRY(auto const asked, agent.post("/reinit", web::MemberRequest{member.name, {}}));
    fmt::print("{} is cloned anew; `pgkeel status --watch` shows it.\n", member.name);
    if (!options.wait) return {};
    KEEL_CHECK(wait_for_errand(agent, member.name, asked, 24h));
    fmt::print("{} follows again.\n", member.name);
    return {};
}

}  // namespace

void add_reinit(Commands& commands) {
    auto const options = std::make_shared<ReinitOptions>();
    auto& command = commands.add("reinit", "Throw a standby's data away and clone it anew");
    command.add_option("member", options->member, "Name of the member")->required();
    command.add_flag("--yes,-y", options->yes, "Do not ask");
    command.add_flag("--wait", options->wait, "Wait until it follows again");
    commands.on(command, [options, &commands]() -> Done {
        KEEL_TRY(auto const agent, Agent::find(commands.reach()));
        return reinit(agent, *options);
    });
}

}  // namespace keel::cli
