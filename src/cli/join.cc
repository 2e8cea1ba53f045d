// `pgkeel join` and `pgkeel witness`: a certificate for a token, and the files with which `pgkeel node` does the rest.
#include "web/join.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "agent/local_state.h"
#include "agent/start_up.h"
#include "base/json.h"
#include "cli/client.h"
#include "cli/new_node.h"
#include "cli/terminal.h"
#include "cli/token_text.h"
#include "postgres/place.h"
#include "runtime/clock.h"
#include "runtime/signals.h"

namespace keel::cli {

namespace {

struct JoinOptions {
    NewNode node;
    std::string member;  // HOST[:PORT] of one that is in the cluster
    std::string token, token_file;
    bool start = false;
    std::optional<runtime::HeldSignals> held;  // from the request on: a member without a node is nobody's wish
};

Answer<web::JoinAnswer> ask_to_join(JoinOptions const& options, web::TokenText const& token,
                                    web::JoinRequest const& request) {
    auto const at = postgres::parse_endpoint(options.member, config::kApiPort);
    if (at.host.empty())
        return stop(kUsage, Code::invalid, fmt::format("\"{}\" is not HOST or HOST:PORT", options.member),
                    "name a member of the cluster and its API's port, as 10.0.0.1:8008");
    KEEL_TRY(auto tls, runtime::client_pinned(token.authority_fingerprint));
    runtime::HttpCall post;
    post.method = "POST";
    post.path = "/join";
    post.body = json::write(request);
    post.timeout = 20s;
    post.headers["Content-Type"] = "application/json";
    auto const answer = call(runtime::HttpTarget::secure(at.host, at.port, std::move(tls)), std::move(post));
    if (!answer) {
        Error error = answer.error();
        if (error.code == Code::denied) {
            error.mend =
                "the token is of another cluster, or something else answers there: check HOST, and make a "
                "new token there with `pgkeel token create`";
            return std::unexpected(Failure(kUsage, std::move(error)));
        }
        error.mend = error.outcome == Outcome::unknown
                         ? "look at `pgkeel status` there: if the new node is a member already, take it out with "
                           "`pgkeel leave` before you try again"
                         : "is the node running there, and is the API's port open?";
        return std::unexpected(Failure(kUnreachable, std::move(error)));
    }
    if (answer->status != 200) {
        auto refusal = refusal_of(answer->status, answer->body);
        if (refusal.error.code == Code::denied) refusal.exit_code = kFailed;
        return std::unexpected(std::move(refusal));
    }
    KEEL_TRY(auto joined, json::read<web::JoinAnswer>(answer->body));
    return joined;
}

// The cluster says where its record lives; what is secret or a file of this machine comes from the options.
Status take_store(NewNode& node, web::StoreHint const& hint) {
    auto& store = node.config.store;
    if (hint.kind == "embedded") {
        store = config::Store{};
        return {};
    }
    if (hint.kind != "etcd")
        return fail(Code::invalid, "the member that was asked does not say where the cluster's record lives",
                    "use the same version of pgkeel on every node");
    store.kind = config::StoreKind::etcd;
    if (node.etcd.empty()) store.endpoints = hint.endpoints;
    store.prefix = hint.prefix;
    if (store.user.empty() && !store.password_file.empty()) store.user = hint.user;
    bool const lacks = (!hint.user.empty() && store.password_file.empty()) ||
                       (hint.private_authority && store.ca_file.empty()) ||
                       (hint.client_certificate && store.cert_file.empty());
    if (lacks)
        print_note(
            "note: the other nodes have a password, an authority or a certificate for etcd; complete [store] in " +
            node.config.directory + "/node.toml before you start this node");
    return {};
}

Done join_as_user(JoinOptions& options, web::TokenText const& token, agent::NodeIdentity& identity) {
    auto& config = options.node.config;
    identity.node = NodeId{runtime::random_uuid()};
    KEEL_CHECK(check_machine(options.node, identity.node));
    std::vector<std::string> names = {config.address};
    if (config.bind != config.address) names.push_back(config.bind);
    KEEL_TRY(auto request, runtime::make_request({identity.node, names}));
    options.held.emplace();
    KEEL_TRY(auto joined,
             ask_to_join(options, token, {token.secret.reveal(), request.pem, identity.node, member_of(config)}));
    auto const finish = [&]() -> Status {
        identity.cluster_id = joined.record.cluster_id;
        runtime::Pair own{joined.certificate, std::move(request.key)};
        KEEL_CHECK(runtime::check_pair(joined.authority, own));
        KEEL_CHECK(take_store(options.node, joined.store));
        KEEL_CHECK(write_files(config, {joined.authority, Secret(joined.authority_key), std::move(own)}));
        KEEL_CHECK(agent::write_known_record(config.directory, joined.record));
        return agent::write_identity(config.directory, identity);
    };
    if (auto status = finish(); !status) {
        Error error = std::move(status.error());
        error.mend += fmt::format("{}the cluster has {} as a member already: take it out with `pgkeel leave {}` there",
                                  error.mend.empty() ? "" : "; ", config.name, config.name);
        return std::unexpected(Failure(kFailed, std::move(error)));
    }
    bool const data = config.kind == cluster::Kind::data;
    fmt::print("{} is {} of cluster {} now, in {}.\n", config.name, data ? "a member" : "a witness", joined.record.name,
               config.directory);
    if (!options.start)
        fmt::print("\nStart it{}:\n    pgkeel node --dir {}\n", data ? "; it clones the data and follows" : "",
                   config.directory);
    return {};
}

Done join(JoinOptions& options, Commands const& commands) {
    KEEL_TRY(auto const token, read_token(options.token, options.token_file));
    KEEL_CHECK(complete(options.node, commands.reach().directory));
    agent::NodeIdentity identity;
    auto filled = fill_directory(options.node.config, [&] { return join_as_user(options, token, identity); });
    options.held.reset();
    if (!filled) return filled;
    if (!options.start) return {};
    std::fflush(stdout);
    KEEL_TRY(auto const config, agent::load_config(options.node.config.directory));
    if (int const code = commands.hooks().node(config); code != kDone) return stop(code, Code::internal, "");
    return {};
}

void add_one(Commands& commands, std::string const& name, std::string const& about, cluster::Kind kind) {
    auto const options = std::make_shared<JoinOptions>();
    options->node.config.kind = kind;
    auto& command = commands.add_local(name, about);
    command.add_option("member", options->member, "HOST[:8008] of a node that is in the cluster")->required();
    add_new_node_options(command, options->node);
    auto const group = "Token";
    command
        .add_option("--token", options->token,
                    "The token itself. Everybody on this machine can see it in the list of processes: better use "
                    "--token-file or the variable PGKEEL_TOKEN")
        ->group(group);
    command.add_option("--token-file", options->token_file, "File with the token; - for standard input")->group(group);
    command.add_flag("--start", options->start, "Run the node at once, in the foreground");
    commands.on(command, [options, &commands] { return join(*options, commands); });
}

}  // namespace

void add_join(Commands& commands) {
    add_one(commands, "join", "Make this machine the next node of a cluster", cluster::Kind::data);
    add_one(commands, "witness", "Make this machine a vote without data, for a cluster of two", cluster::Kind::witness);
}

}  // namespace keel::cli
