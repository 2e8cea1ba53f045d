// `pgkeel tag`: what a member is for; and whether it is sound again.
#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "cli/client.h"

namespace keel::cli {

namespace {

struct TagOptions {
    std::string member;
    std::vector<std::string> tags;
    bool sound = false;
};

Done tag(Agent const& agent, TagOptions const& options) {
    web::MemberRequest request{options.member, {}};
    for (auto const& text : options.tags) {
        auto const equals = text.find('=');
        auto const name = text.substr(0, equals);
        cluster::Tags probe;
        // A flag alone means true.
        request.set[name] = equals == std::string::npos ? "true" : text.substr(equals + 1);
        auto status = web::set_tag(probe, name, request.set[name]);
        if (!status) return std::unexpected(Failure(kUsage, std::move(status.error())));
    }
    if (options.sound) {
        KEEL_CHECK(agent.post("/sound", web::MemberRequest{options.member, {}}));
        fmt::print("{} may be promoted again.\n", options.member);
    }
    if (request.set.empty()) {
        if (options.sound) return {};
        return stop(kUsage, Code::invalid, "no tag is named", "pgkeel tag NAME priority=10");
    }
    KEEL_CHECK(agent.post("/tags", request));
    fmt::print("The tags of {} are changed.\n", options.member);
    return {};
}

}  // namespace

void add_tag(Commands& commands) {
    auto const options = std::make_shared<TagOptions>();
    auto& command = commands.add("tag", "Change a member's tags: NAME priority=10 nofailover=true domain=rack2");
    command.add_option("member", options->member, "Name of the member")->required();
    command.add_option(
        "tags", options->tags,
        "nofailover, nosync, noloadbalance, spare, analytics (true or false), clonefrom, priority, domain, "
        "delayed_s; NAME= takes it back");
    command.add_flag("--sound", options->sound, "You have looked at a member marked as broken, and it is sound");
    commands.on(command, [options, &commands]() -> Done {
        KEEL_TRY(auto const agent, Agent::find(commands.reach()));
        return tag(agent, *options);
    });
}

}  // namespace keel::cli
