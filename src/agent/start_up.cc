#include "agent/start_up.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <tuple>

#include "postgres/setup.h"
#include "runtime/clock.h"
#include "runtime/log.h"

namespace keel::agent {

namespace {

constexpr std::uint64_t kFreeBytesMin = 64U << 20U;
constexpr std::int64_t kYear2025Ms = 1'735'689'600'000;

bool is_ip(std::string const& text) {
    in6_addr six{};
    in_addr four{};
    return ::inet_pton(AF_INET, text.c_str(), &four) == 1 || ::inet_pton(AF_INET6, text.c_str(), &six) == 1;
}

bool is_loopback(std::string const& text) { return text.starts_with("127.") || text == "::1" || text == "localhost"; }

Status check_clock() {
    if (runtime::boot_now() <= Instant{})
        return fail(Code::unavailable, "CLOCK_BOOTTIME does not advance", "this kernel cannot run a lease: update it");
    if (runtime::unix_ms_now() < kYear2025Ms)
        return fail(Code::invalid, "the wall clock of this machine stands before the year 2025",
                    "set it (chronyd, timedatectl): certificates would not be valid");
    return {};
}

Status check_space(std::string const& directory) {
    KEEL_TRY(auto const free, runtime::free_bytes(directory));
    if (free >= kFreeBytesMin) return {};
    return fail(Code::exhausted, fmt::format("{} has {} MiB of free space", directory, free >> 20U),
                fmt::format("free at least {} MiB: promises must reach the disk", kFreeBytesMin >> 20U));
}

Status check_certificate(std::string const& pki, NodeIdentity const& identity, runtime::TlsIdentity const& tls) {
    KEEL_CHECK(runtime::check_pair(tls.authority, tls.own));
    KEEL_TRY(auto const name, runtime::common_name(tls.own.certificate));
    if (name == identity.node.value) return {};
    return fail(Code::conflict,
                fmt::format("{}/node.crt is of node {}, identity.json says {}", pki, name, identity.node.value),
                "these files are of two nodes: restore the ones that belong together, or join anew");
}

Status check_postgres(postgres::Place const& place) {
    bool const existing = runtime::exists(place.data() + "/PG_VERSION");
    auto const problems = postgres::check_place(place, existing);
    if (problems.empty()) return {};
    Error all = problems.front();
    for (std::size_t i = 1; i < problems.size(); ++i) all.text += "\n" + to_string(problems[i]);
    return fail(std::move(all));
}

}  // namespace

Result<config::NodeConfig> load_config(std::string const& directory) {
    auto const path = directory + "/" + config::kFileName;
    auto const text = runtime::read_file(path, 1U << 20U);
    if (!text && text.error().code == Code::not_found)
        return fail(Code::not_found, path + " does not exist",
                    "run pgkeel init, pgkeel join or pgkeel proxy join first, or name the node's directory with --dir");
    if (!text) {
        Error error = text.error();
        if (error.code == Code::denied) error.mend = "run this as root or as the node's user";
        return fail(std::move(error));
    }
    auto parsed = config::parse_node_config(*text, path, directory);
    if (!parsed.usable()) return fail(Code::invalid, config::to_string(parsed.problems));
    return std::move(parsed.config);
}

Status set_up_log(config::NodeConfig const& config) {
    runtime::log::Options options;
    options.level = static_cast<runtime::log::Level>(config.log.level);
    options.json = config.log.format == config::LogFormat::json;
    options.file = config.log.file;
    options.node = config.name;
    return runtime::log::set_up(options);
}

std::string own_program() {
    char path[4096];
    auto const size = ::readlink("/proc/self/exe", path, sizeof path);
    if (size <= 0 || static_cast<std::size_t>(size) == sizeof path) return "/proc/self/exe";
    std::string out(path, static_cast<std::size_t>(size));
    if (out.ends_with(" (deleted)")) out.resize(out.size() - 10);
    return out;
}

postgres::Place place_of(config::NodeConfig const& config, NodeId const& id) {
    postgres::Place place;
    place.directory = config.directory;
    place.binaries = config.postgres.bin;
    if (place.binaries.empty()) {
        auto const found = postgres::find_binaries();
        if (!found.empty()) place.binaries = found.front();
    }
    place.id = id;
    place.name = config.name;
    place.port = config.postgres.port;
    place.listen_addresses = config.postgres.listen;
    if (place.listen_addresses.empty()) {
        // Several nodes of one machine share "localhost", and may not take each other's address.
        if (!is_loopback(config.address)) place.listen_addresses.push_back("localhost");
        place.listen_addresses.push_back(config.address);
    }
    return place;
}

std::string listen_address(config::NodeConfig const& config) {
    return is_ip(config.address) ? config.address : std::string("0.0.0.0");
}

std::string keys_for_restart(config::NodeConfig const& now, config::NodeConfig const& next) {
    std::string out;
    auto const add = [&](bool changed, char const* key) {
        if (changed) out += std::string(out.empty() ? "" : ", ") + key;
    };
    add(next.address != now.address, "address");
    add(next.peer_port != now.peer_port, "peer_port");
    add(next.api_port != now.api_port, "api_port");
    add(next.postgres.port != now.postgres.port, "postgres.port");
    add(next.postgres.listen != now.postgres.listen, "postgres.listen");
    add(next.postgres.bin != now.postgres.bin, "postgres.bin");
    add(next.store.kind != now.store.kind || next.store.endpoints != now.store.endpoints, "store");
    config::RepositorySettings const &was = now.backup, &is = next.backup;
    add(is != was || next.backup.copies != now.backup.copies, "backup");
    return out;
}

std::string rolled_marker(std::string const& directory) { return directory + "/state/rolled-back"; }

Result<Prepared> prepare(config::NodeConfig const& config) {
    auto const& directory = config.directory;
    KEEL_TRY(auto identity, read_identity(directory));
    for (auto const* name : {"/state", "/run"}) KEEL_CHECK(runtime::ensure_directory(directory + name, 0700));
    auto lock = runtime::FileLock::take(directory + "/state/agent.lock");
    if (!lock) {
        Error error = std::move(lock.error());
        if (error.code == Code::conflict)
            error.mend = "another pgkeel node runs on this directory: stop that one first";
        return fail(std::move(error));
    }
    if (runtime::exists(rolled_marker(directory)))
        return fail(Code::conflict, "what pgkeel recover --until rolled back is in this node's data directory",
                    "when you have what you need of it: pgkeel recover --end");
    KEEL_CHECK(check_clock());
    KEEL_CHECK(check_space(directory));
    KEEL_TRY(auto const floor, read_floor(directory));
    auto const pki = directory + "/pki";
    KEEL_TRY(auto tls, runtime::load_identity(pki));
    KEEL_CHECK(check_certificate(pki, identity, tls));
    Prepared prepared{std::move(identity), floor, read_known_record(directory), std::move(tls), {}, std::move(*lock)};
    if (config.kind == cluster::Kind::data) {
        prepared.place = place_of(config, prepared.identity.node);
        KEEL_CHECK(check_postgres(*prepared.place));
    }
    if (prepared.known) KEEL_CHECK(check_record(prepared, *prepared.known));
    return prepared;
}

Status check_record(Prepared const& prepared, cluster::Record const& record) {
    if (record.cluster_id != prepared.identity.cluster_id)
        return fail(Code::conflict,
                    fmt::format("this node is of cluster {}, the record that it found is of {} (\"{}\")",
                                prepared.identity.cluster_id, record.cluster_id, record.name),
                    "point node.toml's [store] to this cluster's own, or join this node to the other cluster");
    if (!prepared.place || !runtime::exists(prepared.place->data() + "/PG_VERSION")) return {};
    // Asked for until it is known: it never changes, and the lease must not wait for a program or a disk at each
    // record.
    static std::map<std::string, std::string> known;
    auto own = Result<std::string>(known[prepared.place->data()]);
    if (own->empty() && (own = postgres::system_id(*prepared.place))) known[prepared.place->data()] = *own;
    // A directory in the middle of a clone or rewind may have none: its marker says so to the machine.
    if (!own || record.system_id.empty() || *own == record.system_id) return {};
    return fail(Code::conflict,
                fmt::format("{} belongs to another database cluster: its system identifier is {}, the record's {}",
                            prepared.place->data(), *own, record.system_id),
                "move it away, so that this node is cloned anew; nothing was changed");
}

}  // namespace keel::agent
