// `pgkeel join` and `pgkeel witness`: a certificate for a token, and the files with which `pgkeel node` does the rest.
#include "web/join.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "agent/local_state.h"
#include "agent/start_up.h"
#include "base/json.h"
#include "cli/backup_where.h"
#include "cli/new_node.h"
#include "cli/terminal.h"
#include "cli/token_call.h"
#include "cli/token_text.h"
#include "postgres/place.h"
#include "postgres/setup.h"
#include "runtime/clock.h"
#include "runtime/signals.h"

namespace keel::cli {

namespace {

struct JoinOptions {
    NewNode node;
    std::string member;  // HOST[:PORT] of one that is in the cluster
    std::string token, token_file;
    Where from;  // with from_backup
    bool from_backup = false;
    bool start = false;
    std::optional<runtime::HeldSignals> held;  // from the request on: a member without a node is nobody's wish
};

Answer<web::JoinAnswer> ask_to_join(JoinOptions const& options, web::TokenText const& token,
                                    web::JoinRequest const& request) {
    TokenCall const call{options.member, "/join", json::write(request),
                         "look at `pgkeel status` there: if the new node is a member already, take it out with "
                         "`pgkeel leave` before you try again",
                         "pgkeel token create"};
    KEEL_TRY(auto const body, call_with_token(call, token));
    KEEL_TRY(auto joined, json::read<web::JoinAnswer>(body));
    return joined;
}

// Somebody else said from whom it was copied; from now on the cluster says whom it follows.
Status take_data(config::NodeConfig const& config, NodeId const& node, cluster::Record const& record) {
    auto const place = agent::place_of(config, node);
    KEEL_CHECK(archive::end_standing_alone(place.data()));
    postgres::Settings settings;
    settings.cluster = record.settings.postgres;
    KEEL_TRY(auto const made, postgres::adopt(place, settings));
    if (made.system_id == record.system_id) return {};
    return fail(Code::corrupt, "the backup is of another database cluster than its place in the repository says");
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

// Instead of the primary's files: the newest backup, and the archive's WAL. All that can be wrong is asked for before.
Done restore_data(Commands const& commands, JoinOptions& options, web::TokenText const& token,
                  web::JoinRequest& request) {
    auto& config = options.node.config;
    KEEL_TRY(auto const opened, open_repository(commands, options.from));
    static_cast<config::RepositorySettings&>(config.backup) = opened.settings;
    constexpr std::size_t kOwnerMost = 4096;
    auto owner = opened.repository.objects().get(opened.system + "/owner", kOwnerMost);
    if (!owner) return std::unexpected(Failure(std::move(owner.error()).in("the repository's archive has no owner")));
    request.archive_owner = owner->substr(0, owner->find('\n'));
    request.archive_system = opened.system;
    auto probe = request;
    probe.only_check = true;
    KEEL_CHECK(ask_to_join(options, token, probe));
    KEEL_TRY(auto const plan, archive::find_plan(opened.repository, opened.system, {}));
    say_plan(plan);
    auto const place = agent::place_of(config, request.node);
    KEEL_CHECK(check_major(place, plan));
    KEEL_CHECK(check_space(config.directory, plan, "make room, or choose another --dir"));
    Interrupts const interrupts;
    KEEL_CHECK(restore_standby_files(opened, plan, {place.data(), place.binaries, {}}, interrupts));
    return {};
}

Done join_as_user(Commands const& commands, JoinOptions& options, web::TokenText const& token,
                  agent::NodeIdentity& identity) {
    auto& config = options.node.config;
    identity.node = NodeId{runtime::random_uuid()};
    KEEL_CHECK(check_machine(options.node, identity.node));
    std::vector<std::string> names = {config.address};
    if (config.bind != config.address) names.push_back(config.bind);
    KEEL_TRY(auto request, runtime::make_request({identity.node, names}));
    web::JoinRequest asked{token.secret.reveal(), request.pem, identity.node, member_of(config)};
    if (options.from_backup) KEEL_CHECK(restore_data(commands, options, token, asked));
    options.held.emplace();
    KEEL_TRY(auto joined, ask_to_join(options, token, asked));
    auto const finish = [&]() -> Status {
        identity.cluster_id = joined.record.cluster_id;
        runtime::Pair own{joined.certificate, std::move(request.key)};
        KEEL_CHECK(runtime::check_pair(joined.authority, own));
        KEEL_CHECK(take_store(options.node, joined.store));
        KEEL_CHECK(write_files(config, {joined.authority, Secret(joined.authority_key), std::move(own)}));
        KEEL_CHECK(agent::write_known_record(config.directory, joined.record));
        if (options.from_backup) KEEL_CHECK(take_data(config, identity.node, joined.record));
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
    auto const* then = options.from_backup ? "; it streams what is newer"
                       : data              ? "; it clones the data and follows"
                                           : "";
    if (!options.start) fmt::print("\nStart it{}:\n    pgkeel node --dir {}\n", then, config.directory);
    return {};
}

Done join(JoinOptions& options, Commands const& commands) {
    KEEL_TRY(auto const token, read_token(options.token, options.token_file));
    KEEL_CHECK(complete(options.node, commands.reach().directory));
    agent::NodeIdentity identity;
    auto filled = fill_directory(options.node.config, [&] { return join_as_user(commands, options, token, identity); });
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
    add_token_options(command, options->token, options->token_file);
    if (kind == cluster::Kind::data) {
        add_source(command, options->from);
        auto* from = command.add_flag("--from-backup", options->from_backup,
                                      "Take the data out of --repository, instead of from another node");
        from->needs(command.get_option("--repository"));
        command.get_option("--repository")
            ->description("With --from-backup: a directory or s3://bucket/prefix; for node.toml, too")
            ->needs(from);
    }
    command.add_flag("--start", options->start, "Run the node at once, in the foreground");
    commands.on(command, [options, &commands] { return join(*options, commands); });
}

}  // namespace

void add_join(Commands& commands) {
    add_one(commands, "join", "Make this machine the next node of a cluster", cluster::Kind::data);
    add_one(commands, "witness", "Make this machine a vote without data, for a cluster of two", cluster::Kind::witness);
}

}  // namespace keel::cli
