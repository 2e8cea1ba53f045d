// `pgkeel alert`: what is wrong, who is told, and quiet where somebody takes care of it.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "alert/listing.h"
#include "cli/client.h"
#include "cli/time_text.h"

namespace keel::cli {

namespace {

constexpr Duration kTestLimit = 90s;

struct AlertOptions {
    bool json = false, all = false, end = false;
    std::string alert, channel, why;
    std::string span = "2h";
};

template <class Enum>
char const* text(Enum value) {
    return boost::describe::enum_to_string(value, "?");
}

std::string since(std::int64_t ms) {
    auto const seconds = std::max<std::int64_t>(0, ms) / 1000;
    if (seconds < 120) return fmt::format("{} s", seconds);
    if (seconds < 7200) return fmt::format("{} min", seconds / 60);
    return fmt::format("{} h", seconds / 3600);
}

void print_alerts(alert::Listing const& all, bool old_too) {
    std::size_t shown = 0;
    for (auto const& one : all.alerts) {
        bool const over = one.phase == alert::Phase::resolved;
        if (over && !old_too) continue;
        ++shown;
        auto const when = over ? fmt::format("ended {} ago", since(all.now_ms - one.ended_ms))
                               : fmt::format("for {}", since(all.now_ms - one.since_ms));
        fmt::print("{:<12}  {:<8}  {:<24}  {}: {}\n", text(one.phase), text(one.severity),
                   alert::name_of(one.rule, one.subject), when, one.text);
        if (one.phase == alert::Phase::acknowledged) fmt::print("{:<12}  by {}\n", "", one.acknowledged_by);
    }
    if (shown == 0) fmt::print("No alert.\n");
}

void print_rest(alert::Listing const& all) {
    for (auto const& one : all.silences)
        fmt::print("silenced      {} until {}, by {}{}\n", one.alert, cluster::utc_text(one.until_ms), one.by,
                   one.why.empty() ? "" : ": " + one.why);
    if (all.dropped > 0) fmt::print("{} notices were given up: nobody was told of them.\n", all.dropped);
    if (!all.problem.empty()) {
        fmt::print("{} cannot use its alerts.toml:\n{}\n", all.told_by, all.problem);
        return;
    }
    if (all.channels.empty()) {
        fmt::print("Nobody is told: there is no channel (alerts.toml in the directory of each data node).\n");
        return;
    }
    fmt::print("{} tells{}:\n", all.speaker.empty() ? "Nobody" : all.speaker,
               all.speaker == all.told_by ? "" : ", by its channels; those of " + all.told_by);
    for (auto const& one : all.channels) {
        fmt::print("  {:<16}  {:<12}  from {} on", one.name, text(one.kind), text(one.least));
        if (one.after_s > 0) fmt::print(", when nobody has acknowledged for {} s", one.after_s);
        if (one.waiting > 0) fmt::print(", {} waiting", one.waiting);
        fmt::print("{}\n", one.problem.empty() ? "" : ", fails: " + one.problem);
    }
}

Done list(Agent const& agent, AlertOptions const& options) {
    KEEL_TRY(auto const body, agent.get("/alerts"));
    if (options.json) {
        fmt::print("{}\n", body);
        return {};
    }
    auto const all = json::read<alert::Listing>(body);
    if (!all)
        return stop(kFailed, Code::corrupt, agent.where() + " answered with something else: " + all.error().text,
                    "use the same version of pgkeel on every node");
    print_alerts(*all, options.all);
    print_rest(*all);
    return {};
}

Done test(Agent const& agent, std::string const& channel) {
    KEEL_TRY(auto const body, agent.send("POST", "/alerts/test", json::write(alert::TestRequest{channel}), kTestLimit));
    auto const results = json::read<std::vector<alert::TestResult>>(body);
    if (!results) return stop(kFailed, Code::corrupt, agent.where() + " answered with something else");
    bool good = true;
    for (auto const& one : *results) {
        fmt::print("{:<16}  {}\n", one.channel, one.delivered ? "delivered" : "FAILED: " + one.text);
        good = good && one.delivered;
    }
    if (good) return {};
    return stop(kFailed, Code::unavailable, "a channel has not taken the test",
                "correct alerts.toml or what the channel leads to; every data node needs to reach it");
}

Done silence(Agent const& agent, AlertOptions const& options) {
    alert::Request request;
    request.alert = options.alert;
    request.why = options.why;
    request.wish = options.end ? alert::Wish::end_silence : alert::Wish::silence;
    if (!options.end) {
        KEEL_TRY(request.for_s, parse_span_s(options.span));
    }
    KEEL_CHECK(agent.post("/alerts", request));
    if (options.end)
        fmt::print("{} is told again.\n", options.alert);
    else
        fmt::print("Nobody is told of {} for {}; what is over is told all the same.\n", options.alert, options.span);
    return {};
}

}  // namespace

void add_alert(Commands& commands) {
    auto const options = std::make_shared<AlertOptions>();
    auto& command = commands.add_bare("alert", "What is wrong, and who is told");
    command.require_subcommand(1);
    auto& listed = commands.add_below(command, "list", "Alerts, silences and channels");
    listed.add_flag("--json", options->json, "As JSON");
    listed.add_flag("--all", options->all, "Also what has ended within a day");
    commands.on(listed, [options, &commands]() -> Done {
        KEEL_TRY(auto const agent, Agent::find(commands.reach()));
        return list(agent, *options);
    });
    auto& tested = commands.add_below(command, "test", "Send a test by the channels of the node that is asked");
    tested.add_option("channel", options->channel, "This one alone");
    commands.on(tested, [options, &commands]() -> Done {
        KEEL_TRY(auto const agent, Agent::find(commands.reach()));
        return test(agent, options->channel);
    });
    auto& acked = commands.add_below(command, "ack", "Somebody takes care: no reminders until it is over");
    acked.add_option("alert", options->alert, "RULE, RULE:SUBJECT as `pgkeel alert list` shows it, or all")->required();
    commands.on(acked, [options, &commands]() -> Done {
        KEEL_TRY(auto const agent, Agent::find(commands.reach()));
        alert::Request request;
        request.alert = options->alert;
        KEEL_CHECK(agent.post("/alerts", request));
        fmt::print("{} is acknowledged.\n", options->alert);
        return {};
    });
    auto& silenced = commands.add_below(command, "silence", "Tell nobody of a rule or an alert for some time");
    silenced.add_option("alert", options->alert, "RULE, RULE:SUBJECT, or all")->required();
    silenced.add_option("--for", options->span, "For how long: 30m, 2h, 7d")->capture_default_str();
    silenced.add_option("--why", options->why, "For those who wonder");
    silenced.add_flag("--end", options->end, "End it now");
    commands.on(silenced, [options, &commands]() -> Done {
        KEEL_TRY(auto const agent, Agent::find(commands.reach()));
        return silence(agent, *options);
    });
}

}  // namespace keel::cli
