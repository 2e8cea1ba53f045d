// `pgkeel token`: secrets that let new nodes in.
#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "cli/client.h"
#include "cli/time_text.h"

namespace keel::cli {

namespace {

struct TokenOptions {
    std::string valid = "24h";
    std::uint32_t uses = 1;
    bool witness = false, proxy = false, bare = false;
    std::string id;
};

// What the token is for, in the words of what is to be typed.
struct Purpose {
    cluster::Kind kind;
    char const* command;
    char const* whom;
    char const* rest;
};

Purpose purpose_of(TokenOptions const& options) {
    if (options.witness) return {cluster::Kind::witness, "witness", "witness(es)", " --address ADDRESS"};
    if (options.proxy) return {cluster::Kind::proxy, "proxy join", "proxy host(s)", ""};
    return {cluster::Kind::data, "join", "node(s)", " --address ADDRESS"};
}

std::string api_of(cluster::ClusterStatus const& status) {
    for (auto const& member : status.members) {
        if (member.name == status.told_by) return member.api;
    }
    return "HOST";
}

Done create(Agent const& agent, TokenOptions const& options) {
    web::TokenRequest request;
    auto const purpose = purpose_of(options);
    request.kind = purpose.kind;
    request.uses = options.uses;
    KEEL_TRY(request.valid_s, parse_span_s(options.valid));
    KEEL_TRY(auto const made, agent.post<web::TokenAnswer>("/token", request));
    if (options.bare) {
        fmt::print("{}\n", made.token);
        return {};
    }
    KEEL_TRY(auto const status, agent.status());
    fmt::print(
        "Token {} lets {} {} in until {}. It is shown only now; keep it secret.\n\n"
        "    pgkeel {} {} --token {} --name NAME{}\n",
        made.id, request.uses, purpose.whom, cluster::utc_text(made.expires_unix_ms), purpose.command, api_of(status),
        made.token, purpose.rest);
    return {};
}

Done list(Agent const& agent) {
    KEEL_TRY(auto const tokens, agent.read<std::vector<cluster::JoinToken>>("/token"));
    if (tokens.empty()) fmt::print("There is no open token.\n");
    for (auto const& token : tokens)
        fmt::print("{}  {:<7}  {} use(s) left, until {}, made by {}\n", token.id,
                   boost::describe::enum_to_string(token.kind, "?"), token.uses_left,
                   cluster::utc_text(token.expires_unix_ms), token.made_by);
    return {};
}

Done revoke(Agent const& agent, std::string const& id) {
    KEEL_CHECK(agent.post("/token/revoke", web::TokenName{id}));
    fmt::print("Token {} lets nobody in any more.\n", id);
    return {};
}

}  // namespace

void add_token(Commands& commands) {
    auto const options = std::make_shared<TokenOptions>();
    auto& token = commands.add_bare("token", "Secrets that let new nodes in");
    token.require_subcommand(1);
    auto& made = commands.add_below(token, "create", "Make one; it is shown once");
    made.add_option("--valid", options->valid, "For how long: 30m, 24h, 7d")->capture_default_str();
    made.add_option("--uses", options->uses, "How many nodes it lets in")->capture_default_str();
    auto* const witness = made.add_flag("--witness", options->witness, "For a witness, not a data node");
    made.add_flag("--proxy", options->proxy, "For a proxy on an application's host")->excludes(witness);
    made.add_flag("--bare", options->bare, "Print the token alone, for a pipe into pgkeel join --token-file -");
    commands.on(made, [options, &commands]() -> Done {
        KEEL_TRY(auto const agent, Agent::find(commands.reach()));
        return create(agent, *options);
    });
    auto& listed = commands.add_below(token, "list", "The open ones, without their secrets");
    commands.on(listed, [&commands]() -> Done {
        KEEL_TRY(auto const agent, Agent::find(commands.reach()));
        return list(agent);
    });
    auto& revoked = commands.add_below(token, "revoke", "Take one back");
    revoked.add_option("id", options->id, "Its id, as `pgkeel token list` shows it")->required();
    commands.on(revoked, [options, &commands]() -> Done {
        KEEL_TRY(auto const agent, Agent::find(commands.reach()));
        return revoke(agent, options->id);
    });
}

}  // namespace keel::cli
