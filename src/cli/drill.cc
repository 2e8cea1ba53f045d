// `pgkeel drill`: a failure on purpose in the user's own cluster, and what it cost.
#include <fmt/format.h>
#include <grp.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <fstream>

#include "agent/privileges.h"
#include "agent/start_up.h"
#include "cli/choice.h"
#include "cli/client.h"
#include "cli/drill_fault.h"
#include "cli/drill_run.h"
#include "cli/terminal.h"
#include "cli/until_signal.h"

namespace keel::cli {

namespace {

using drill::Fault;

struct DrillOptions {
    Fault fault = Fault::switchover;
    std::string target, user, html;
    std::string database = "postgres";
    bool dry_run = false, yes = false, json = false;
    int seconds = 120;
};

// Root acts as the node's user, to whom the sockets, the key and the processes belong, while this lives. The real user
// stays root: a node that was started by root is root's process, and only root may end it.
class ActAs {
  public:
    static Result<ActAs> take(std::string const& user) {
        ActAs out;
        if (::geteuid() != 0) return out;
        KEEL_TRY(auto const account, agent::find_account(user));
        if (::initgroups(user.c_str(), account.group) != 0 || ::setegid(account.group) != 0 ||
            ::seteuid(account.user) != 0)
            return fail(runtime::system_error(errno, "acting as the user " + user));
        out.acts_ = true;
        return out;
    }
    ActAs(ActAs&& other) noexcept : acts_(std::exchange(other.acts_, false)) {}
    ActAs& operator=(ActAs&&) = delete;
    ~ActAs() {
        if (acts_ && (::seteuid(0) != 0 || ::setegid(0) != 0)) ::_exit(kFailed);
    }

  private:
    ActAs() = default;
    bool acts_ = false;
};

// Before the fault, not after it.
Done check_page(std::string const& path) {
    if (path.empty()) return {};
    std::error_code error;
    auto const folder = std::filesystem::absolute(path, error).parent_path();
    if (::access(folder.c_str(), W_OK) == 0 && !std::filesystem::is_directory(path, error)) return {};
    return stop(kUsage, Code::invalid, fmt::format("--html {}: cannot be written", path),
                "name a file in a directory that exists and that you may write to");
}

Done check_words(DrillOptions const& options) {
    if (!options.target.empty() && options.fault != Fault::switchover)
        return stop(kUsage, Code::invalid,
                    "--target names who shall lead after a switchover; the other faults hit the primary",
                    "leave --target out, or use --fault switchover");
    if (options.database != "postgres" && options.user.empty())
        return stop(kUsage, Code::invalid,
                    "--database needs --user: pgkeel's own role pgkeel_monitor may enter the database postgres only",
                    "name a role that may make a schema there: --user ROLE");
    if (!options.html.empty() && options.dry_run)
        return stop(kUsage, Code::invalid, "--html is for the report of a drill, and --dry-run makes none",
                    "leave one of them out");
    return check_page(options.html);
}

Answer<std::vector<Eye>> eyes_of(config::NodeConfig const& config, cluster::ClusterStatus const& status) {
    KEEL_TRY(auto const identity, runtime::load_identity(config.directory + "/pki"));
    KEEL_TRY(auto const tls, runtime::client_mutual(identity));
    std::vector<Eye> out;
    for (auto const& member : status.members) {
        auto target = runtime::HttpTarget::local(config.agent_socket());
        if (member.name != status.told_by) {
            auto const at = postgres::parse_endpoint(member.api, config::kApiPort);
            target = runtime::HttpTarget::secure(at.host, at.port, tls);
            target.expected_peer = member.id.value;
        }
        out.push_back({member.name, std::move(target)});
    }
    return out;
}

drill::Plan plan_of(drill::Setup const& setup, std::vector<drill::Process> processes) {
    auto const& status = setup.before;
    drill::Plan plan;
    plan.cluster = status.cluster;
    plan.leader = status.leader;
    plan.mode = boost::describe::enum_to_string(status.mode, "?");
    plan.fault = boost::describe::enum_to_string(setup.order.fault, "?");
    plan.action = drill::fault_text(setup.order, status.leader, processes);
    plan.processes = std::move(processes);
    plan.candidates = drill::candidates(status);
    plan.risks = drill::risks(status, setup.order.fault);
    plan.load = fmt::format(
        "1 connection writes about 100 rows a second, 1 reads, as {}; into the schema {} of the "
        "database {}, which the drill makes{} and drops",
        setup.site.role, drill::kSchema, setup.site.database,
        setup.site.administrator ? " (as the superuser, for that role)" : "");
    return plan;
}

Done write_page(std::string const& path, drill::Report const& report) {
    std::ofstream out(path, std::ios::binary | std::ios::trunc);
    out << drill::render_html(report);
    out.close();
    if (out) return {};
    return stop(kFailed, Code::unavailable, path + " could not be written", "the report above is complete");
}

Done refuse(std::vector<Error> const& wrong) {
    for (auto const& error : wrong) print_error(error);
    return stop(kNotSafe, Code::unavailable, "no drill now: nothing was done", "pgkeel status");
}

// Everything after the questions. What was refused before the fault is an error; what came after it is a report.
Answer<drill::Report> perform(drill::Setup setup) {
    runtime::Io io;
    drill::Run run(io, std::move(setup));
    bool ended = false;
    bool const interrupted = run_until_signal(
        io,
        [&]() -> runtime::Task<void> {
            co_await run.perform();
            ended = true;
        },
        [&]() -> runtime::Task<void> { co_await run.settle(!ended); });
    if (run.left_behind())
        print_error({run.left_behind()->code, "the schema pgkeel_drill was not dropped: " + run.left_behind()->text,
                     "DROP SCHEMA pgkeel_drill CASCADE on the primary, or the next drill does it"});
    if (run.fault_done()) return run.report();
    if (run.refusal()) return std::unexpected(*run.refusal());
    return stop(kFailed, Code::unavailable,
                interrupted ? "interrupted before the fault: nothing was done" : "the drill ended early");
}

// How it ended, in the form that was asked for.
Done tell(drill::Report const& report, DrillOptions const& options) {
    if (options.json)
        fmt::print("{}\n", json::write(report));
    else
        fmt::print("{}", drill::render_text(report));
    std::fflush(stdout);
    if (!options.html.empty()) KEEL_CHECK(write_page(options.html, report));
    if (report.verdict == drill::Verdict::good) return {};
    return stop(kFailed, Code::internal, "");
}

Done show(drill::Plan const& plan, bool as_json) {
    fmt::print("{}", as_json ? json::write(plan) + "\n" : drill::render(plan));
    if (plan.objections.empty()) return {};
    return stop(kNotSafe, Code::unavailable, "");
}

// What only a look at this machine and at PostgreSQL can tell, added to `wrong`. Changes nothing.
std::vector<drill::Process> look_closer(drill::Setup const& setup, std::vector<Error>& wrong) {
    auto const& order = setup.order;
    bool const here = order.self == setup.before.leader;
    std::vector<drill::Process> processes;
    if (here) {
        auto found = drill::find_processes(setup.config, order.fault);
        if (found)
            processes = std::move(*found);
        else
            wrong.push_back(std::move(found).error());
    }
    // Without a primary, or away from it, the reason why not has been given already.
    if (setup.before.leader_alive && (here || order.own_role)) {
        if (auto able = drill::check_schema(setup.site); !able) wrong.push_back(std::move(able).error());
    }
    return processes;
}

Done run_drill(Reach const& reach, DrillOptions const& options) {
    KEEL_CHECK(check_words(options));
    KEEL_TRY(auto const agent, Agent::find(reach));
    KEEL_TRY(auto const status, agent.status());
    auto config = agent::load_config(reach.directory);
    if (!config) return std::unexpected(Failure(kUsage, std::move(config).error()));
    KEEL_TRY(auto const identity, agent::read_identity(config->directory));
    drill::Order const order{options.fault, options.target, status.told_by, !options.user.empty()};
    auto wrong = drill::objections(status, order);
    auto const ended = [&]() -> Answer<std::optional<drill::Report>> {
        KEEL_TRY(auto const acting, ActAs::take(config->user));
        KEEL_TRY(auto eyes, eyes_of(*config, status));
        auto const place = agent::place_of(*config, identity.node);
        drill::Setup setup{order,
                           *config,
                           status,
                           drill::site_of(place, status, options.database, options.user),
                           std::move(eyes),
                           std::chrono::seconds(options.seconds),
                           options.json ? stderr : stdout};
        auto plan = plan_of(setup, look_closer(setup, wrong));
        for (auto const& error : wrong) plan.objections.push_back(to_string(error));
        if (options.dry_run) {
            KEEL_CHECK(show(plan, options.json));
            return std::nullopt;
        }
        if (!wrong.empty()) KEEL_CHECK(refuse(wrong));
        KEEL_CHECK(
            confirm(fmt::format("{}.\nAt risk: {}", plan.action, fmt::join(plan.risks, ";\n         ")), options.yes));
        return perform(std::move(setup));
    }();
    if (!ended) return std::unexpected(ended.error());
    return *ended ? tell(**ended, options) : Done{};
}

}  // namespace

void add_drill(Commands& commands) {
    auto const options = std::make_shared<DrillOptions>();
    auto& command =
        commands.add_local("drill", "A failure on purpose, under a load of its own, and a report of what it cost");
    add_choice(command, "--fault", options->fault,
               "switchover (nothing is killed), or SIGKILL on this node, the primary")
        .default_str("switchover");
    command.add_option("--target", options->target, "Who shall lead after a switchover; else the best standby");
    command
        .add_option("--database", options->database, "Where its schema pgkeel_drill is made and dropped; needs --user")
        ->default_str("postgres");
    command.add_option("--user", options->user, "A role of yours for its load; else pgkeel's own");
    command.add_flag("--dry-run", options->dry_run, "Only say what would happen, to which processes, at which risk");
    command.add_flag("--yes,-y", options->yes, "Do not ask");
    command.add_option("--seconds", options->seconds, "How long the cluster may take until it is whole again")
        ->check(CLI::Range(5, 86400))
        ->capture_default_str();
    command.add_flag("--json", options->json, "The report for programs");
    command.add_option("--html", options->html, "Also write the report as a page into this file");
    commands.on(command, [options, &commands] { return run_drill(commands.reach(), *options); });
}

}  // namespace keel::cli
