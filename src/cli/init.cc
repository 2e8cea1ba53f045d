// `pgkeel init`: a cluster of one node, complete or not there at all.
#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "agent/local_state.h"
#include "agent/start_up.h"
#include "agent/store_choice.h"
#include "cli/backup_where.h"
#include "cli/new_node.h"
#include "cli/terminal.h"
#include "cli/time_text.h"
#include "config/settings.h"
#include "consensus/embedded.h"
#include "postgres/setup.h"
#include "runtime/clock.h"
#include "runtime/files.h"
#include "web/token.h"

namespace keel::cli {

namespace {

struct InitOptions {
    NewNode node;
    std::string cluster;
    cluster::Settings settings;
    std::string mode = "quorum";
    std::string profile = "lan";
    std::string token_valid = "24h";
    std::uint32_t token_uses = 2;
    // Of a backup; an empty target: a new database cluster.
    Where from;
    std::string target;
};

constexpr std::size_t kSecretBytes = 24;

struct FirstToken {
    web::TokenText text;
    cluster::JoinToken kept;
};

Result<FirstToken> make_token(InitOptions const& options, std::string const& authority) {
    KEEL_TRY(auto pin, runtime::fingerprint(authority));
    KEEL_TRY(auto const valid_s, parse_span_s(options.token_valid));
    FirstToken out{{std::move(pin), Secret(runtime::random_hex(kSecretBytes))}, {}};
    auto const hash = web::sha256_hex(out.text.secret.reveal());
    out.kept = {hash.substr(0, 8),  hash,  cluster::Kind::data, runtime::unix_ms_now() + valid_s * 1000,
                options.token_uses, "init"};
    return out;
}

struct FirstData {
    postgres::Made made;
    std::string from;  // the backup and its target; empty: initdb made it
};

// Epoch 1 on the timeline that is there; the first start goes through an election as every other one.
cluster::Record first_record(InitOptions const& options, agent::NodeIdentity const& identity, FirstData const& data,
                             cluster::JoinToken const& token) {
    NodeId const& self = identity.node;
    cluster::Record record;
    record.cluster_id = identity.cluster_id;
    record.name = options.cluster;
    record.system_id = data.made.system_id;
    record.revision = 1;
    record.epoch = Epoch{1};
    record.leader = self;
    record.coordinator = self;
    record.members[self] = member_of(options.node.config);
    record.voters = {self};
    record.sync = {options.settings.mode, {self}, 1, self};
    record.lineage = {{data.made.timeline, Timeline{0}, Lsn{0}, Epoch{1}, self, cluster::Fate::live}};
    record.settings = options.settings;
    if (options.token_uses > 0) record.tokens = {token};
    cluster::note(record, self, runtime::unix_ms_now(), "member",
                  fmt::format("cluster {} made with {} as its first node{}", options.cluster, options.node.config.name,
                              data.from.empty() ? "" : ", from " + data.from));
    return record;
}

// One operation of the store that node.toml names, waiting for its answer.
template <class Ask>
Result<cluster::StoreAnswer> ask_store(config::NodeConfig const& config, agent::NodeIdentity const& identity,
                                       cluster::Record const& record, Ask ask) {
    runtime::Io io;
    agent::StoreParts parts;
    parts.io = &io;
    KEEL_TRY(auto const opened, agent::open_store(config, identity, record, std::move(parts)));
    std::optional<cluster::StoreAnswer> answer;
    ask(*opened.store, [&](cluster::StoreAnswer got) { answer = std::move(got); });
    while (!answer) {
        io.restart();
        io.run_one_for(100ms);
    }
    if (answer->result == cluster::Swapped::unknown)
        return fail(Code::unavailable, "etcd does not answer: " + opened.store->trouble(),
                    "check --etcd, its certificates, and that etcd has a majority");
    return std::move(*answer);
}

Status check_etcd_empty(InitOptions const& options, agent::NodeIdentity const& identity) {
    cluster::Record probe;
    probe.name = options.cluster;
    KEEL_TRY(auto const answer, ask_store(options.node.config, identity, probe,
                                          [](consensus::Store& store, auto done) { store.read(std::move(done)); }));
    if (!answer.record) return {};
    return fail(
        Code::conflict,
        fmt::format("etcd has the record of a cluster {} already (id {})", options.cluster, answer.record->cluster_id),
        fmt::format("choose another --cluster or --etcd-prefix; if that cluster is gone for good: etcdctl del "
                    "{}/{}/record",
                    options.node.config.store.prefix, options.cluster));
}

Status store_record(InitOptions const& options, agent::NodeIdentity const& identity, cluster::Record const& record) {
    auto const& config = options.node.config;
    KEEL_CHECK(agent::write_known_record(config.directory, record));
    if (config.store.kind == config::StoreKind::embedded) {
        consensus::Embedded::Options place;
        place.file = agent::acceptor_file(config.directory);
        place.cluster_id = identity.cluster_id;
        place.self = identity.node;
        return consensus::Embedded::bootstrap(place, record, runtime::random_u64());
    }
    KEEL_TRY(auto const answer, ask_store(config, identity, record, [&](consensus::Store& store, auto done) {
                 store.swap(0, record, std::move(done));
             }));
    if (answer.result == cluster::Swapped::done) return {};
    return fail(Code::conflict, "somebody else wrote a record of this cluster to etcd just now",
                "choose another --cluster");
}

// The restored server has ended its recovery on a timeline of its own; nobody of the old cluster follows it there.
Answer<FirstData> restore_first(Commands const& commands, InitOptions const& options, postgres::Place const& place,
                                postgres::Settings const& settings) {
    KEEL_TRY(auto const target, archive::parse_target(options.target));
    KEEL_TRY(auto const opened, open_repository(commands, options.from));
    KEEL_TRY(auto const plan, archive::find_plan(opened.repository, opened.system, target));
    say_plan(plan);
    KEEL_CHECK(check_major(place, plan));
    KEEL_CHECK(check_space(options.node.config.directory, plan, "make room, or choose another --dir"));
    Interrupts const interrupts;
    if (auto const done = restore_files(opened, plan, {place.data(), place.binaries, {}}, interrupts); !done) {
        // It goes with the directory.
        constexpr std::size_t kTailMost = 2000;
        if (auto const log = runtime::read_file(place.data() + "/restore.log", 64U << 20U))
            fmt::print(stderr, "{}\n", log->substr(log->size() - std::min(log->size(), kTailMost)));
        return std::unexpected(done.error());
    }
    KEEL_CHECK(archive::end_standing_alone(place.data()));
    KEEL_TRY(auto made, postgres::adopt(place, settings));
    return FirstData{std::move(made), fmt::format("backup {} up to {}", plan.backup.label, target_text(plan))};
}

Done make_first_node(Commands const& commands, InitOptions const& options, FirstToken& token) {
    auto const& config = options.node.config;
    agent::NodeIdentity const identity{NodeId{runtime::random_uuid()}, runtime::random_uuid()};
    KEEL_CHECK(check_machine(options.node, identity.node));
    if (config.store.kind == config::StoreKind::etcd) KEEL_CHECK(check_etcd_empty(options, identity));
    KEEL_TRY(auto const authority, runtime::make_authority(identity.cluster_id));
    std::vector<std::string> names = {config.address};
    if (config.bind != config.address) names.push_back(config.bind);
    KEEL_TRY(auto own, runtime::issue_node(authority, {identity.node, names}));
    KEEL_TRY(token, make_token(options, authority.certificate));
    KEEL_CHECK(write_files(config, {authority.certificate, authority.key, std::move(own)}));
    auto const place = agent::place_of(config, identity.node);
    postgres::Settings settings;
    settings.cluster = options.settings.postgres;
    FirstData data;
    if (options.target.empty()) {
        KEEL_TRY(data.made, postgres::init(place, settings));
    } else {
        KEEL_TRY(data, restore_first(commands, options, place, settings));
    }
    KEEL_CHECK(store_record(options, identity, first_record(options, identity, data, token.kept)));
    KEEL_CHECK(agent::write_identity(config.directory, identity));
    return {};
}

void tell(InitOptions const& options, FirstToken const& token) {
    auto const& config = options.node.config;
    fmt::print("Cluster {} is made; {} is its first node, in {}.\n\nStart it:\n    pgkeel node --dir {}\n",
               options.cluster, config.name, config.directory, config.directory);
    if (!options.target.empty())
        fmt::print(
            "\nThe repository it came from is the old cluster's: give this one another directory or prefix\n"
            "(section [backup] of node.toml).\n");
    if (options.token_uses == 0) return;
    fmt::print(
        "\nThen on each of the next machines (the token is good for {} of them and {}; keep it secret):\n"
        "    pgkeel join {} --token {} --name NAME --address ADDRESS\n",
        options.token_uses, options.token_valid, config::host_port(config.address, config.api_port),
        web::to_text(token.text));
}

Done init(Commands const& commands, InitOptions& options) {
    auto const& directory = commands.reach().directory;
    if (!config::is_name(options.cluster))
        return stop(kUsage, Code::invalid, fmt::format("--cluster \"{}\" is not a name", options.cluster),
                    "use 1..63 of a-z, 0-9 and '-', beginning with a letter");
    for (auto const& [name, value] : {std::pair("mode", options.mode), std::pair("profile", options.profile)})
        KEEL_CHECK(config::set_setting(options.settings, name, value));
    KEEL_CHECK(parse_span_s(options.token_valid));
    if (options.node.config.tags.spare || options.node.config.tags.delayed_s > 0)
        return stop(kUsage, Code::invalid, "the first node leads, so it is neither spare nor delayed",
                    "leave the tag out");
    KEEL_CHECK(complete(options.node, directory));
    return fill_directory(options.node.config, [&]() -> Done {
        FirstToken token;
        KEEL_CHECK(make_first_node(commands, options, token));
        tell(options, token);
        return {};
    });
}

}  // namespace

void add_init(Commands& commands) {
    auto const options = std::make_shared<InitOptions>();
    auto& command = commands.add_local("init", "Make a new cluster with this node as its first");
    command.add_option("--cluster", options->cluster, "The cluster's name: a-z, 0-9, '-'")->required();
    add_new_node_options(command, options->node);
    command.add_option("--mode", options->mode, "async, quorum or strict: what an acknowledged commit survives")
        ->capture_default_str();
    command.add_option("--quorum", options->settings.quorum, "How many standbys must have a commit")
        ->check(CLI::Range(1, 16))
        ->capture_default_str();
    command.add_option("--profile", options->profile, "lan, standard or wan: lease and heartbeat")
        ->capture_default_str();
    command.add_option("--token-uses", options->token_uses, "How many nodes the printed token lets in; 0: no token")
        ->capture_default_str();
    command.add_option("--token-valid", options->token_valid, "For how long")->capture_default_str();
    add_source(command, options->from);
    auto* restore =
        command.add_option("--restore", options->target,
                           "Begin with a backup out of --repository, as of then: latest, an LSN, or a time in UTC");
    restore->needs(command.get_option("--repository"));
    command.get_option("--repository")
        ->description("With --restore: a directory or s3://bucket/prefix")
        ->needs(restore);
    commands.on(command, [options, &commands] { return init(commands, *options); });
}

}  // namespace keel::cli
