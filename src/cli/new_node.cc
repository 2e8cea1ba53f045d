#include "cli/new_node.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <CLI/CLI.hpp>

#include "agent/start_up.h"
#include "postgres/directory.h"
#include "postgres/setup.h"
#include "runtime/clock.h"
#include "runtime/files.h"

namespace keel::cli {

namespace {

constexpr std::int64_t kYear2025Ms = 1'735'689'600'000;
constexpr std::uint64_t kSpaceNeeded = 64U << 20U;

void add_tag_options(CLI::App& command, cluster::Tags& tags) {
    auto const group = "Tags";
    command.add_flag("--nofailover", tags.nofailover, "Never promoted")->group(group);
    command.add_flag("--nosync", tags.nosync, "Never waited for by commits")->group(group);
    command.add_flag("--noloadbalance", tags.noloadbalance, "Gets no reads from a balancer")->group(group);
    command.add_flag("--spare", tags.spare, "Waits to take the place of a lost member")->group(group);
    command.add_flag("--analytics", tags.analytics, "For reports only")->group(group);
    command.add_option("--clonefrom", tags.clonefrom, "Member to clone from, when it is alive")->group(group);
    command.add_option("--priority", tags.priority, "Higher wins among equally advanced candidates")->group(group);
    command.add_option("--domain", tags.domain, "Failure domain: rack, zone")->group(group);
    command.add_option("--delayed", tags.delayed_s, "Replay this many seconds late")->group(group);
}

void add_store_options(CLI::App& command, NewNode& node) {
    auto const group = "Store";
    auto& store = node.config.store;
    command.add_option("--etcd", node.etcd, "Keep the cluster's record in this etcd: https://host:2379[,...]")
        ->group(group);
    command.add_option("--etcd-prefix", store.prefix, "Of its key")->capture_default_str()->group(group);
    command.add_option("--etcd-user", store.user, "etcd's user")->group(group);
    command.add_option("--etcd-password-file", store.password_file, "File with that user's password")->group(group);
    command.add_option("--etcd-ca", store.ca_file, "etcd's authority, PEM")->group(group);
    command.add_option("--etcd-cert", store.cert_file, "Client certificate for etcd, PEM")->group(group);
    command.add_option("--etcd-key", store.key_file, "Its key, PEM")->group(group);
}

void split(std::string const& text, std::vector<std::string>& out) {
    for (std::size_t from = 0; from <= text.size();) {
        auto const comma = std::min(text.find(',', from), text.size());
        if (comma > from) out.push_back(text.substr(from, comma - from));
        from = comma + 1;
    }
}

Error joined(std::vector<Error> errors) {
    Error all = errors.front();
    for (std::size_t i = 1; i < errors.size(); ++i) all.mend += "\n" + to_string(errors[i]);
    return all;
}

}  // namespace

void add_new_node_options(CLI::App& command, NewNode& node) {
    auto& config = node.config;
    command.add_option("--name", config.name, "The node's name, unique in the cluster: a-z, 0-9, '-'")->required();
    command
        .add_option("--address", config.address,
                    "Host name or IP under which the other nodes and the applications reach it")
        ->required();
    command.add_option("--bind", config.bind, "Address to listen on, when it is not --address (NAT)");
    command.add_option("--peer-port", config.peer_port, "Port between the nodes")->capture_default_str();
    command.add_option("--api-port", config.api_port, "Port of the API")->capture_default_str();
    command.add_option("--user", config.user, "Whom root drops to")->capture_default_str();
    if (config.kind == cluster::Kind::data) {
        command.add_option("--postgres-port,--port", config.postgres.port, "PostgreSQL's port")->capture_default_str();
        command.add_option("--proxy-port", config.proxy.port, "The proxy's first port; the next two are its others")
            ->capture_default_str();
        command.add_option("--postgres-bin", config.postgres.bin, "Directory of its programs; else the newest found");
        add_tag_options(command, config.tags);
    }
    add_store_options(command, node);
}

Status complete(NewNode& node, std::string const& directory) {
    auto& config = node.config;
    config.directory = directory;
    if (config.bind.empty()) config.bind = config.address;
    if (::geteuid() != 0) config.user = postgres::os_user();
    config.postgres.listen = {config.bind};
    config.proxy.read_write_port = static_cast<std::uint16_t>(config.proxy.port + 1);
    config.proxy.read_only_port = static_cast<std::uint16_t>(config.proxy.port + 2);
    if (!node.etcd.empty()) {
        config.store.kind = config::StoreKind::etcd;
        config.store.endpoints.clear();
        split(node.etcd, config.store.endpoints);
    }
    // One set of rules: those of the file that will be written.
    auto const parsed = config::parse_node_config(config::render_node_config(config), "", directory);
    if (parsed.usable()) return {};
    std::vector<Error> errors;
    for (auto const& problem : parsed.problems) {
        if (problem.severity == config::Severity::error) errors.push_back({Code::invalid, problem.text, problem.mend});
    }
    return fail(joined(std::move(errors)));
}

Status check_port(std::string const& host, std::uint16_t port, std::string const& option) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_PASSIVE;
    addrinfo* found = nullptr;
    if (int const error = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found); error != 0)
        return fail(Code::invalid, fmt::format("the address {} is not known here: {}", host, ::gai_strerror(error)),
                    "name this machine's own address with --address (and --bind, behind NAT)");
    int const descriptor = ::socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int const yes = 1;
    ::setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    bool bound = ::bind(descriptor, found->ai_addr, found->ai_addrlen) == 0;
    // Only this notices a listener that allows the reuse of its address.
    bound = bound && ::listen(descriptor, 1) == 0;
    int const error = errno;
    ::close(descriptor);
    ::freeaddrinfo(found);
    if (bound) return {};
    auto const where = config::host_port(host, port);
    if (error == EADDRINUSE)
        return fail(Code::conflict, fmt::format("{} is in use by another program", where),
                    fmt::format("stop that one, or choose another port with {}", option));
    if (error == EADDRNOTAVAIL)
        return fail(Code::invalid, fmt::format("{} is not an address of this machine", host),
                    "name this machine's own address with --address (and --bind, behind NAT)");
    return fail(runtime::system_error(error, "listening on " + where));
}

Status check_machine(NewNode const& node, NodeId const& id) {
    auto const& config = node.config;
    if (runtime::unix_ms_now() < kYear2025Ms)
        return fail(Code::invalid, "the wall clock of this machine stands before the year 2025",
                    "set it (chronyd, timedatectl): certificates would not be valid");
    KEEL_TRY(auto const space, runtime::free_bytes(config.directory));
    if (space < kSpaceNeeded)
        return fail(Code::exhausted,
                    fmt::format("{} has {} MB of free space, at least {} MB are needed", config.directory, space >> 20U,
                                kSpaceNeeded >> 20U),
                    "make room, or choose another --dir");
    KEEL_CHECK(check_port(config.bind, config.peer_port, "--peer-port"));
    KEEL_CHECK(check_port(config.bind, config.api_port, "--api-port"));
    if (config.kind != cluster::Kind::data) return {};
    KEEL_CHECK(check_port(config.bind, config.postgres.port, "--postgres-port"));
    for (std::uint16_t const one : {config.proxy.port, config.proxy.read_write_port, config.proxy.read_only_port})
        KEEL_CHECK(check_port(config.bind, one, "--proxy-port"));
    auto place = agent::place_of(config, id);
    if (place.binaries.empty())
        return fail(Code::not_found, "there is no PostgreSQL 13 or newer on this machine",
                    "install it (Debian: apt-get install postgresql), or name its directory with --postgres-bin");
    auto problems = postgres::check_place(place, false);
    if (!problems.empty()) return fail(joined(std::move(problems)));
    return {};
}

cluster::Member member_of(config::NodeConfig const& config) {
    cluster::Member member;
    member.name = config.name;
    member.kind = config.kind;
    member.peer = config::host_port(config.address, config.peer_port);
    member.api = config::host_port(config.address, config.api_port);
    if (config.kind == cluster::Kind::data) {
        member.postgres = config::host_port(config.address, config.postgres.port);
        member.tags = config.tags;
    }
    return member;
}

Status write_files(config::NodeConfig const& config, NewFiles const& files) {
    auto const& directory = config.directory;
    for (auto const* name : {"/pki", "/state", "/run", "/log"})
        KEEL_CHECK(runtime::ensure_directory(directory + name, 0700));
    auto const pki = directory + "/pki/";
    KEEL_CHECK(runtime::write_atomically(pki + "ca.crt", files.authority, 0644));
    if (!files.authority_key.empty())
        KEEL_CHECK(runtime::write_atomically(pki + "ca.key", files.authority_key.reveal(), 0600));
    KEEL_CHECK(runtime::write_atomically(pki + "node.crt", files.own.certificate, 0644));
    KEEL_CHECK(runtime::write_atomically(pki + "node.key", files.own.key.reveal(), 0600));
    return runtime::write_atomically(directory + "/" + config::kFileName, config::render_node_config(config), 0644);
}

}  // namespace keel::cli
