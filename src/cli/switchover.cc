// `pgkeel switchover`: the leader is changed on purpose, now or at a time, without loss.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cctype>

#include "cli/follow.h"
#include "cli/terminal.h"
#include "cli/time_text.h"
#include "cluster/outlook.h"
#include "runtime/clock.h"

namespace keel::cli {

namespace {

struct SwitchoverOptions {
    std::string to, at;
    bool yes = false, no_wait = false, cancel = false, dry_run = false;
};

// As a part of a URL (RFC 3986, section 2.1).
std::string escaped(std::string const& text) {
    std::string out;
    for (char const letter : text) {
        auto const byte = static_cast<unsigned char>(letter);
        bool const plain = byte < 0x80 && (std::isalnum(byte) != 0 || byte == '-' || byte == '_' || byte == '.');
        out += plain ? std::string(1, letter) : fmt::format("%{:02X}", byte);
    }
    return out;
}

Done foretell(Agent const& agent, cluster::SwitchoverRequest const& request) {
    auto const path = fmt::format("/switchover?to={}&at={}", escaped(request.to), request.at_unix_ms);
    KEEL_TRY(auto const outlook, agent.read<cluster::Outlook>(path));
    fmt::print("{}", cluster::render_outlook(outlook));
    if (!outlook.possible) return stop(kFailed, Code::conflict, "");
    return {};
}

Done switchover(Agent const& agent, SwitchoverOptions const& options) {
    if (options.cancel) {
        KEEL_CHECK(agent.send("POST", "/switchover/cancel", {}));
        fmt::print("The planned switchover is taken back.\n");
        return {};
    }
    cluster::SwitchoverRequest request{options.to, 0};
    if (!options.at.empty()) {
        KEEL_TRY(request.at_unix_ms, parse_moment(options.at, runtime::unix_ms_now()));
    }
    if (options.dry_run) return foretell(agent, request);
    KEEL_TRY(auto const before, agent.status());
    KEEL_CHECK(confirm(fmt::format("{} hands the leadership to {}{}; open transactions there are broken off",
                                   before.leader.empty() ? "The leader" : before.leader,
                                   options.to.empty() ? "the best standby" : options.to,
                                   request.at_unix_ms == 0 ? "" : " at " + cluster::utc_text(request.at_unix_ms)),
                       options.yes));
    KEEL_TRY(auto const asked, agent.post("/switchover", request));
    if (request.at_unix_ms != 0) {
        fmt::print("The switchover is planned for {}. To take it back: pgkeel switchover --cancel\n",
                   cluster::utc_text(request.at_unix_ms));
        return {};
    }
    if (options.no_wait) {
        fmt::print("The switchover was asked for; `pgkeel status --watch` shows it.\n");
        return {};
    }
    auto const begin = runtime::boot_now();
    KEEL_CHECK(follow(agent, 60s, "the switchover", until_leader_changed(before, options.to, asked.revision)));
    KEEL_TRY(auto const after, agent.status());
    fmt::print("{} leads now, {:.1f} s after it was asked for.\n", after.leader,
               to_seconds(runtime::boot_now() - begin));
    return {};
}

}  // namespace

void add_switchover(Commands& commands) {
    auto const options = std::make_shared<SwitchoverOptions>();
    auto& command = commands.add("switchover", "Change the leader on purpose, without loss");
    command.add_option("--to", options->to, "The member that shall lead; else the best standby");
    command.add_option("--at", options->at, "When: 03:00, \"2026-11-22 03:00\" (local; with a Z UTC), +30m");
    command.add_flag("--cancel", options->cancel, "Take a planned one back");
    command.add_flag("--dry-run", options->dry_run, "Say what would happen, and do nothing");
    command.add_flag("--yes,-y", options->yes, "Do not ask");
    command.add_flag("--no-wait", options->no_wait, "Do not wait for the result");
    commands.on(command, [options, &commands]() -> Done {
        KEEL_TRY(auto const agent, Agent::find(commands.reach()));
        return switchover(agent, *options);
    });
}

}  // namespace keel::cli
