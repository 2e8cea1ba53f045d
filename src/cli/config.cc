// `pgkeel config`: the cluster-wide settings.
#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "cli/client.h"
#include "cli/terminal.h"

namespace keel::cli {

namespace {

struct ConfigOptions {
    std::string name;
    std::vector<std::string> words;
    bool json = false;
};

Answer<cluster::Settings> read_settings(Agent const& agent) { return agent.read<cluster::Settings>("/config"); }

Done get(Agent const& agent, ConfigOptions const& options) {
    KEEL_TRY(auto const settings, read_settings(agent));
    if (options.json) {
        fmt::print("{}\n", json::write(settings));
        return {};
    }
    if (!options.name.empty()) {
        auto value = config::get_setting(settings, options.name);
        if (!value) return std::unexpected(Failure(kUsage, std::move(value.error())));
        fmt::print("{}\n", *value);
        return {};
    }
    for (auto const& one : config::settings())
        fmt::print("{} = {}\n", one.name, config::get_setting(settings, one.name).value_or(""));
    for (auto const& [name, value] : settings.postgres) fmt::print("postgres.{} = {}\n", name, value);
    return {};
}

// "name=value" words, or "name value".
Answer<std::map<std::string, std::string>> pairs_of(std::vector<std::string> const& words) {
    std::map<std::string, std::string> out;
    if (words.size() == 2 && words[0].find('=') == std::string::npos) {
        out[words[0]] = words[1];
    } else {
        for (auto const& word : words) {
            auto const equals = word.find('=');
            if (equals == std::string::npos)
                return stop(kUsage, Code::invalid, fmt::format("\"{}\" is not NAME=VALUE", word),
                            "pgkeel config set mode=strict; `pgkeel config get` shows the names");
            out[word.substr(0, equals)] = word.substr(equals + 1);
        }
    }
    cluster::Settings probe;
    for (auto const& [name, value] : out) {
        if (auto change = config::set_setting(probe, name, value); !change) {
            if (change.error().mend.empty()) change.error().mend = "`pgkeel config get` shows the settings";
            return std::unexpected(Failure(kUsage, std::move(change.error())));
        }
    }
    return out;
}

Done apply(Agent const& agent, web::ConfigRequest const& request) {
    KEEL_TRY(auto const done, agent.post<web::ConfigAnswer>("/config", request));
    for (auto const& change : done.changes) {
        fmt::print("{}: {} -> {}{}\n", change.name, change.before.empty() ? "default" : change.before,
                   change.after.empty() ? "default" : change.after,
                   change.scope == config::Scope::restart ? "  (after a restart)" : "");
    }
    if (!done.advice.empty()) fmt::print("{}\n", done.advice);
    return {};
}

Done set(Agent const& agent, std::map<std::string, std::string> const& pairs) { return apply(agent, {pairs, {}}); }

// The editor again and again until the text is right, so that nobody's work is lost to a typing error.
Done edit(Agent const& agent) {
    KEEL_TRY(auto const before, read_settings(agent));
    auto const original = config::render_settings(before);
    std::string text = original;
    for (;;) {
        KEEL_TRY(text, edit_text(text, "settings"));
        if (text == original) {
            fmt::print("Nothing was changed.\n");
            return {};
        }
        auto const edited = config::parse_settings(text, before, "settings");
        if (edited.problems.empty()) {
            if (edited.changes.empty()) {
                fmt::print("Nothing was changed.\n");
                return {};
            }
            web::ConfigRequest request;
            for (auto const& change : edited.changes) {
                request.set[change.name] = change.after;
                request.before[change.name] = change.before;
            }
            return apply(agent, request);
        }
        print_error(Error{Code::invalid, config::to_string(edited.problems), ""});
        if (auto again = confirm("The editor is opened again", false); !again)
            return stop(kUsage, Code::invalid, "nothing was changed", "correct the lines above");
    }
}

}  // namespace

void add_config(Commands& commands) {
    auto const options = std::make_shared<ConfigOptions>();
    auto& config = commands.add_bare("config", "The cluster-wide settings");
    config.require_subcommand(1);
    auto& shown = commands.add_below(config, "get", "Show one, or all");
    shown.add_option("name", options->name, "As mode or postgres.work_mem");
    shown.add_flag("--json", options->json, "For programs");
    commands.on(shown, [options, &commands]() -> Done {
        KEEL_TRY(auto const agent, Agent::find(commands.reach()));
        return get(agent, *options);
    });
    auto& changed = commands.add_below(config, "set", "Change: NAME=VALUE ..., or NAME VALUE");
    changed.add_option("setting", options->words, "An empty value takes postgres.<parameter> away")->required();
    commands.on(changed, [options, &commands]() -> Done {
        KEEL_TRY(auto const pairs, pairs_of(options->words));
        KEEL_TRY(auto const agent, Agent::find(commands.reach()));
        return set(agent, pairs);
    });
    auto& edited = commands.add_below(config, "edit", "All of them in your editor");
    commands.on(edited, [&commands]() -> Done {
        KEEL_TRY(auto const agent, Agent::find(commands.reach()));
        return edit(agent);
    });
}

}  // namespace keel::cli
