// `pgkeel proxy`: the proxy alone on a host of applications; how such a host joins a cluster, and how it is taken out.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>

#include "agent/local_state.h"
#include "agent/privileges.h"
#include "agent/start_up.h"
#include "base/json.h"
#include "cli/client.h"
#include "cli/new_node.h"
#include "cli/terminal.h"
#include "cli/token_call.h"
#include "cli/token_text.h"
#include "postgres/directory.h"
#include "postgres/place.h"
#include "runtime/clock.h"
#include "runtime/signals.h"
#include "web/proxies.h"

namespace keel::cli {

namespace {

struct ProxyOptions {
    config::NodeConfig config;
    std::string member;  // HOST[:PORT] of one that is in the cluster
    std::string token, token_file;
    std::string name;
    bool yes = false;
    std::optional<runtime::HeldSignals> held;  // from the request on: an entry without a host is nobody's wish
};

Status complete(config::NodeConfig& config, std::string const& directory) {
    config.kind = cluster::Kind::proxy;
    config.directory = directory;
    if (::geteuid() != 0) config.user = postgres::os_user();
    if (config.proxy.listen.empty()) config.proxy.listen = {config::kProxyHostListen};
    config.proxy.read_write_port = static_cast<std::uint16_t>(config.proxy.port + 1);
    config.proxy.read_only_port = static_cast<std::uint16_t>(config.proxy.port + 2);
    // One set of rules: those of the file that will be written.
    auto const parsed = config::parse_node_config(config::render_node_config(config), "", directory);
    if (!parsed.usable()) return fail(Code::invalid, config::to_string(parsed.problems));
    return {};
}

Status check_ports(config::Proxy const& proxy) {
    for (auto const& address : proxy.listen) {
        for (auto const port : {proxy.port, proxy.read_write_port, proxy.read_only_port})
            KEEL_CHECK(check_port(address, port, "--port"));
    }
    return {};
}

Done join_as_user(ProxyOptions& options, web::TokenText const& token) {
    auto const& config = options.config;
    KEEL_CHECK(check_ports(config.proxy));
    NodeId const id{runtime::random_uuid()};
    KEEL_TRY(auto request, runtime::make_request({id, {}}));
    options.held.emplace();
    web::ProxyJoinRequest const wanted{token.secret.reveal(), request.pem, id, config.name};
    TokenCall const call{options.member, "/proxy/join", json::write(wanted),
                         fmt::format("look at `pgkeel proxy list` there: if {} is in it already, take it out with "
                                     "`pgkeel proxy remove {}` before you try again",
                                     config.name, config.name),
                         "pgkeel token create --proxy"};
    KEEL_TRY(auto const body, call_with_token(call, token));
    auto const finish = [&]() -> Result<web::ProxyJoinAnswer> {
        KEEL_TRY(auto joined, json::read<web::ProxyJoinAnswer>(body));
        runtime::Pair own{joined.certificate, std::move(request.key)};
        KEEL_CHECK(runtime::check_pair(joined.authority, own));
        KEEL_CHECK(write_files(config, {joined.authority, {}, std::move(own)}));
        KEEL_CHECK(agent::write_sources(config.directory, joined.sources));
        KEEL_CHECK(agent::write_identity(config.directory, {id, joined.cluster_id}));
        return joined;
    };
    auto const joined = finish();
    if (!joined) {
        Error error = joined.error();
        error.mend += fmt::format("{}the cluster knows {} already: take it out there with `pgkeel proxy remove {}`",
                                  error.mend.empty() ? "" : "; ", config.name, config.name);
        return std::unexpected(Failure(kFailed, std::move(error)));
    }
    fmt::print(
        "{} is a proxy host of cluster {} now, in {}.\n\nStart its proxy; applications connect to {}:\n"
        "    pgkeel proxy --dir {}\n",
        config.name, joined->cluster, config.directory,
        config::host_port(config.proxy.listen.front(), config.proxy.port), config.directory);
    return {};
}

// root becomes somebody else, who must be there.
Status check_user(config::NodeConfig const& config) {
    if (::geteuid() != 0) return {};
    auto const account = agent::find_account(config.user);
    if (account) return {};
    return fail(Code::invalid, account.error().text,
                fmt::format("useradd --system {}, or name another one with --user", config.user));
}

Done join(ProxyOptions& options, Commands const& commands) {
    KEEL_TRY(auto const token, read_token(options.token, options.token_file));
    KEEL_CHECK(complete(options.config, commands.reach().directory));
    KEEL_CHECK(check_user(options.config));
    auto filled = fill_directory(options.config, [&] { return join_as_user(options, token); });
    options.held.reset();
    return filled;
}

Done list(Agent const& agent) {
    KEEL_TRY(auto const rows, agent.read<std::vector<web::ProxyRow>>("/proxies"));
    if (rows.empty()) fmt::print("There is no proxy host.\n");
    for (auto const& row : rows)
        fmt::print("{:<20}  {}  since {}\n", row.name, row.host.value, cluster::utc_text(row.since_unix_ms));
    return {};
}

Done remove(Agent const& agent, ProxyOptions const& options) {
    KEEL_CHECK(confirm(fmt::format("the proxy of {} is told nothing more, and ends", options.name), options.yes));
    KEEL_CHECK(agent.post("/proxies/remove", web::ProxyName{options.name}));
    fmt::print(
        "{} is no proxy host any more. What remains there: its directory with a certificate that opens nothing.\n",
        options.name);
    return {};
}

Done run(Commands const& commands) {
    auto const config = agent::load_config(commands.reach().directory);
    if (!config) return std::unexpected(Failure(kUsage, config.error()));
    if (int const code = commands.hooks().proxy(*config); code != kDone) return stop(code, Code::internal, "");
    return {};
}

void add_proxy_join(Commands& commands, CLI::App& above, std::shared_ptr<ProxyOptions> const& options) {
    auto& command = commands.add_local_below(above, "join", "Make this machine a proxy host of a cluster");
    command.add_option("member", options->member, "HOST[:8008] of a node of the cluster")->required();
    command.add_option("--name", options->config.name, "The host's name: a-z, 0-9, '-'")->required();
    command.add_option("--listen", options->config.proxy.listen, "IP addresses for applications")
        ->default_str(config::kProxyHostListen);
    command.add_option("--port", options->config.proxy.port, "Its first port; the next two are its others")
        ->capture_default_str();
    command.add_option("--user", options->config.user, "Whom root drops to")->capture_default_str();
    add_token_options(command, options->token, options->token_file);
    commands.on(command, [options, &commands] { return join(*options, commands); });
}

}  // namespace

void add_proxy(Commands& commands) {
    auto const options = std::make_shared<ProxyOptions>();
    options->config.user = "pgkeel";  // a host of applications need not have PostgreSQL's
    auto& proxy =
        commands.add_local("proxy", "Run the proxy of this host in the foreground (what a service manager starts)");
    proxy.require_subcommand(0, 1);
    commands.on(proxy, [&commands] { return run(commands); });
    add_proxy_join(commands, proxy, options);
    auto& listed = commands.add_below(proxy, "list", "The cluster's proxy hosts");
    commands.on(listed, [&commands]() -> Done {
        KEEL_TRY(auto const agent, Agent::find(commands.reach()));
        return list(agent);
    });
    auto& removed = commands.add_below(proxy, "remove", "Take one out: its certificate opens nothing any more");
    removed.add_option("name", options->name, "As `pgkeel proxy list` shows it")->required();
    removed.add_flag("--yes,-y", options->yes, "Do not ask");
    commands.on(removed, [options, &commands]() -> Done {
        KEEL_TRY(auto const agent, Agent::find(commands.reach()));
        return remove(agent, *options);
    });
}

}  // namespace keel::cli
