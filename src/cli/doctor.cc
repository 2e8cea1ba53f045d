// `pgkeel doctor`: trouble before it comes, with or without an agent.
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>

#include "agent/local_state.h"
#include "agent/privileges.h"
#include "agent/start_up.h"
#include "cli/client.h"
#include "cli/new_node.h"
#include "postgres/setup.h"
#include "runtime/clock.h"
#include "runtime/files.h"
#include "runtime/tls.h"

namespace keel::cli {

namespace {

using web::Finding;
using Findings = std::vector<Finding>;

constexpr std::int64_t kDayMs = 86'400'000;
constexpr std::int64_t kYear2025Ms = 1'735'689'600'000;
constexpr std::uint64_t kSpaceWanted = 1ULL << 30U;

Finding bad(std::string what, Error const& error) { return {false, std::move(what), error.text, error.mend}; }

Finding check_certificate(std::string const& directory) {
    auto const identity = runtime::load_identity(directory + "/pki");
    if (!identity) return bad("certificate", identity.error());
    if (auto const status = runtime::check_pair(identity->authority, identity->own); !status)
        return bad("certificate", status.error());
    auto const expires = runtime::expires_unix_ms(identity->own.certificate);
    if (!expires) return bad("certificate", expires.error());
    auto const days = (*expires - runtime::unix_ms_now()) / kDayMs;
    return {
        days > 30, "certificate", fmt::format("valid for {} days", days),
        days > 30
            ? ""
            : "start the node: it renews its certificate by itself; one that has ended needs pgkeel leave and join"};
}

Finding check_space(std::string const& directory) {
    auto const what = "disk space of " + directory;
    auto const free = runtime::free_bytes(directory);
    if (!free) return bad(what, free.error());
    bool const enough = *free >= kSpaceWanted;
    return {enough, what, cluster::bytes_text(*free) + " free",
            enough ? "" : "free some space: PostgreSQL stops when WAL cannot be written"};
}

void check_postgres(config::NodeConfig const& config, NodeId const& id, Findings& out) {
    if (config.kind != cluster::Kind::data) return;
    auto const place = agent::place_of(config, id);
    auto const problems = postgres::check_place(place, runtime::exists(place.data() + "/PG_VERSION"));
    for (auto const& problem : problems) out.push_back(bad("PostgreSQL", problem));
    if (!problems.empty()) return;
    auto const major = postgres::binaries_major(place);
    out.push_back({true, "PostgreSQL", fmt::format("version {} in {}", major.value_or(0), place.binaries), {}});
}

void check_ports(config::NodeConfig const& config, Findings& out) {
    std::vector<std::pair<std::uint16_t, char const*>> ports = {{config.peer_port, "node.peer_port"},
                                                                {config.api_port, "node.api_port"}};
    if (config.kind == cluster::Kind::data) ports.emplace_back(config.postgres.port, "postgres.port");
    for (auto const& [port, key] : ports) {
        auto const what = "port " + config::host_port(config.bind, port);
        auto const status = check_port(config.bind, port, std::string(key) + " in node.toml");
        out.push_back(status ? Finding{true, what, "free", {}} : bad(what, status.error()));
    }
}

// As the node's user, so that what it may not read is noticed.
Findings examine(config::NodeConfig const& config, bool agent_runs) {
    Findings out;
    out.push_back({runtime::unix_ms_now() >= kYear2025Ms, "clock", cluster::utc_text(runtime::unix_ms_now()),
                   runtime::unix_ms_now() >= kYear2025Ms ? "" : "set the wall clock (chronyd, timedatectl)"});
    auto const identity = agent::read_identity(config.directory);
    out.push_back(identity ? Finding{true, "identity", "node " + identity->node.value, {}}
                           : bad("identity", identity.error()));
    out.push_back(check_certificate(config.directory));
    out.push_back(check_space(config.directory));
    check_postgres(config, identity ? identity->node : NodeId{}, out);
    // A PostgreSQL that outlives its agent has its port by right.
    if (!agent_runs && !runtime::exists(config.directory + "/data/postmaster.pid")) check_ports(config, out);
    return out;
}

// examine() in a child that has become the user; its findings come back through a pipe.
Result<Findings> examine_as(config::NodeConfig const& config, bool agent_runs) {
    if (::geteuid() != 0) return examine(config, agent_runs);
    int ends[2];
    if (::pipe(ends) != 0) return fail(runtime::system_error(errno, "a pipe"));
    pid_t const child = ::fork();
    if (child < 0) return fail(runtime::system_error(errno, "starting a process"));
    if (child == 0) {
        ::close(ends[0]);
        auto const became = agent::become_user(config.user);
        auto const text = json::write(became ? examine(config, agent_runs) : Findings{bad("user", became.error())});
        for (std::string_view rest = text; !rest.empty();) {
            auto const written = ::write(ends[1], rest.data(), rest.size());
            if (written <= 0) ::_exit(1);
            rest.remove_prefix(static_cast<std::size_t>(written));
        }
        ::_exit(0);
    }
    ::close(ends[1]);
    std::string text;
    char chunk[4096];
    for (ssize_t got = 0; (got = ::read(ends[0], chunk, sizeof chunk)) > 0;)
        text.append(chunk, static_cast<std::size_t>(got));
    ::close(ends[0]);
    ::waitpid(child, nullptr, 0);
    return json::read<Findings>(text);
}

// Both sides' findings; of two about the same thing the agent's.
Findings merge(Findings local, Findings from_agent) {
    std::erase_if(local, [&](Finding const& one) {
        return std::ranges::any_of(from_agent, [&](Finding const& other) { return other.what == one.what; });
    });
    local.insert(local.end(), std::make_move_iterator(from_agent.begin()), std::make_move_iterator(from_agent.end()));
    return local;
}

std::string render(Findings const& findings) {
    std::string out;
    for (auto const& one : findings) {
        out += fmt::format("{}  {}: {}\n", one.good ? "ok   " : "TODO ", one.what, one.text);
        if (!one.mend.empty()) out += "       mend: " + one.mend + "\n";
    }
    return out;
}

Done doctor(Reach const& reach, bool as_json) {
    Findings findings;
    KEEL_TRY(auto const agent, Agent::find(reach));
    auto const told = agent.read<Findings>("/doctor");
    if (!told && told.error().exit_code != kUnreachable) return std::unexpected(told.error());
    if (reach.host.empty()) {
        auto const config = agent::load_config(reach.directory);
        if (!config) return std::unexpected(Failure(kUsage, config.error()));
        findings.push_back({true, "node.toml", "no problem", {}});
        KEEL_TRY(auto local, examine_as(*config, told.has_value()));
        findings.insert(findings.end(), local.begin(), local.end());
    } else if (!told) {
        return std::unexpected(told.error());
    }
    if (told)
        findings = merge(std::move(findings), *told);
    else
        findings.push_back(bad("agent", told.error().error));
    auto const wrong = std::ranges::count(findings, false, &Finding::good);
    if (as_json)
        fmt::print("{}\n", json::write(findings));
    else
        fmt::print("{}\n{}\n", render(findings), wrong == 0 ? "All is well." : fmt::format("{} to mend.", wrong));
    if (wrong == 0) return {};
    return stop(told ? kFailed : kUnreachable, Code::invalid, "");
}

}  // namespace

void add_doctor(Commands& commands) {
    auto const as_json = std::make_shared<bool>(false);
    auto& command = commands.add("doctor", "Look for trouble before it comes; works without a running node too");
    command.add_flag("--json", *as_json, "For programs");
    commands.on(command, [as_json, &commands] { return doctor(commands.reach(), *as_json); });
}

}  // namespace keel::cli
