// The program's arguments: one command each, common options, and how an error ends.
#include "cli/cli.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "cli/commands.h"
#include "cli/terminal.h"
#include "config/problem.h"

namespace keel::cli {

namespace {

constexpr char const* kExitCodes =
    "Exit codes: 0 done, 1 failed, 2 wrong arguments or configuration, 3 refused because it is not safe now,\n"
    "4 no agent answers.";

void add_commands(Commands& commands) {
    add_demo(commands);
    add_init(commands);
    add_join(commands);
    add_node(commands);
    add_proxy(commands);
    add_status(commands);
    add_history(commands);
    add_plan(commands);
    add_switchover(commands);
    add_drill(commands);
    add_failover(commands);
    add_pause(commands);
    add_restart(commands);
    add_reinit(commands);
    add_config(commands);
    add_tag(commands);
    add_token(commands);
    add_access(commands);
    add_alert(commands);
    add_leave(commands);
    add_backup(commands);
    add_restore(commands);
    add_recover(commands);
    add_doctor(commands);
}

void add_version(Commands& commands) {
    auto& command = commands.add_bare("version", "Version of this program");
    commands.on(command, [&commands]() -> Done {
        fmt::print("pgkeel {}\n", commands.hooks().version);
        return {};
    });
}

int wrong_usage(CLI::App const& app, CLI::ParseError const& error) {
    if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::Success)) return app.exit(error);  // --help
    std::string name = "pgkeel";
    for (auto const* command = &app; !command->get_subcommands().empty();) {
        command = command->get_subcommands().front();
        name += " " + command->get_name();
    }
    std::string text = error.what();
    // "Could not convert: --peer-port = 99999": every option that is converted is a number.
    constexpr std::string_view kConvert = "Could not convert: ";
    if (text.starts_with(kConvert)) text = text.substr(kConvert.size()) + " is not a number that it can be";
    print_error(Error{Code::invalid, fmt::format("{}: {}", name, text), name + " --help"});
    return kUsage;
}

// A first word that is no command: CLI11 would say that a command is missing.
bool is_unknown_command(CLI::App const& app, int argc, char const* const* argv) {
    if (argc < 2 || argv[1][0] == '-') return false;
    std::vector<std::string> names;
    for (auto const* command : app.get_subcommands({})) names.push_back(command->get_name());
    if (std::ranges::find(names, argv[1]) != names.end()) return false;
    print_error(Error{Code::invalid,
                      fmt::format("there is no command \"{}\"{}", argv[1], config::did_you_mean(argv[1], names)),
                      "pgkeel --help"});
    return true;
}

int run_inner(int argc, char const* const* argv, Hooks const& hooks, bool& found) {
    if (argc < 2) return kDone;
    auto const inner = hooks.inner.find(argv[1]);
    if (inner == hooks.inner.end()) return kDone;
    found = true;
    return inner->second(std::vector<std::string>(argv + 2, argv + argc));
}

}  // namespace

CLI::App& Commands::add_bare(std::string const& name, std::string const& about) {
    return *app_->add_subcommand(name, about);
}

CLI::App& Commands::add_local(std::string const& name, std::string const& about) {
    return with_directory(add_bare(name, about));
}

CLI::App& Commands::add_local_below(CLI::App& parent, std::string const& name, std::string const& about) {
    return with_directory(*parent.add_subcommand(name, about));
}

CLI::App& Commands::add(std::string const& name, std::string const& about) { return add_below(*app_, name, about); }

CLI::App& Commands::add_below(CLI::App& parent, std::string const& name, std::string const& about) {
    auto& command = with_directory(*parent.add_subcommand(name, about));
    command.add_option(
        "--host", reach_.host,
        "Ask the node at HOST[:8008] instead of the local one, with the certificate in --dir or an access token");
    command.add_option("--token-file", reach_.token_file,
                       "With --host: a file with an access token (- for standard input); else PGKEEL_TOKEN if set");
    return command;
}

CLI::App& Commands::with_directory(CLI::App& command) {
    command.add_option("--dir", reach_.directory, "The node's directory")->capture_default_str();
    return command;
}

void Commands::on(CLI::App& command, std::function<Done()> action) {
    command.callback([this, &command, action = std::move(action)] {
        // Of two, `pgkeel proxy list`, the inner one is meant.
        if (command.get_subcommands().empty()) chosen_ = action;
    });
}

int run(int argc, char const* const* argv, Hooks const& hooks) {
    bool inner = false;
    int const code = run_inner(argc, argv, hooks, inner);
    if (inner) return code;
    CLI::App app("pgkeel keeps PostgreSQL up: clusters that heal themselves and lose no acknowledged commit.",
                 "pgkeel");
    app.require_subcommand(1);
    app.footer(kExitCodes);
    app.set_version_flag("--version", "pgkeel " + hooks.version);
    Commands commands(app, hooks);
    add_commands(commands);
    add_version(commands);
    if (is_unknown_command(app, argc, argv)) return kUsage;
    try {
        app.parse(argc, argv);
    } catch (CLI::ParseError const& error) {
        return wrong_usage(app, error);
    }
    auto const done = commands.chosen()();
    std::fflush(stdout);
    if (done) return kDone;
    // A command that has said everything already leaves the text empty.
    if (!done.error().error.text.empty()) print_error(done.error().error);
    return done.error().exit_code;
}

}  // namespace keel::cli
