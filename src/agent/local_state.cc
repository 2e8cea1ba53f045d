#include "agent/local_state.h"

#include "base/json.h"
#include "runtime/files.h"

namespace keel::agent {

namespace {

constexpr std::size_t kSmallFile = 64U << 10U;
constexpr std::size_t kRecordFile = 16U << 20U;

struct FloorFile {
    Epoch floor;
};
BOOST_DESCRIBE_STRUCT(FloorFile, (), (floor))

std::string identity_file(std::string const& directory) { return directory + "/identity.json"; }
std::string floor_file(std::string const& directory) { return directory + "/state/floor"; }
std::string sources_file(std::string const& directory) { return directory + "/state/sources"; }
std::string record_file(std::string const& directory) { return directory + "/state/known-record"; }

}  // namespace

Result<NodeIdentity> read_identity(std::string const& directory) {
    auto const path = identity_file(directory);
    auto const text = runtime::read_file(path, kSmallFile);
    if (!text && text.error().code == Code::not_found)
        return fail(Code::not_found, path + " does not exist: this directory is not a node's yet",
                    "run pgkeel init or pgkeel join first, or name the right directory with --dir");
    if (!text) return fail(text.error());
    auto identity = json::read<NodeIdentity>(*text);
    if (!identity) return fail(std::move(identity.error()).in(path));
    if (identity->node.value.empty() || identity->cluster_id.empty())
        return fail(Code::corrupt, path + ": names no node or no cluster", "restore it from a backup, or join anew");
    return identity;
}

Status write_identity(std::string const& directory, NodeIdentity const& identity) {
    return runtime::write_atomically(identity_file(directory), json::write(identity) + "\n", 0600);
}

Result<Epoch> read_floor(std::string const& directory) {
    auto const path = floor_file(directory);
    auto const text = runtime::read_file(path, kSmallFile);
    if (!text && text.error().code == Code::not_found) return Epoch{};
    if (!text) return fail(text.error());
    auto const parsed = json::read<FloorFile>(*text);
    if (!parsed)
        return fail(Code::corrupt, path + ": " + to_string(parsed.error()),
                    "the node may have promised more than it remembers: remove it with pgkeel leave and join it anew");
    return parsed->floor;
}

Status write_floor(std::string const& directory, Epoch floor) {
    return runtime::write_atomically(floor_file(directory), json::write(FloorFile{floor}) + "\n", 0600);
}

std::optional<cluster::Record> read_known_record(std::string const& directory) {
    auto const text = runtime::read_file(record_file(directory), kRecordFile);
    if (!text) return std::nullopt;
    auto record = cluster::decode_record(*text);
    return record ? std::optional(std::move(*record)) : std::nullopt;
}

Result<std::vector<cluster::RouteSource>> read_sources(std::string const& directory) {
    auto const path = sources_file(directory);
    auto const text = runtime::read_file(path, kRecordFile);
    if (!text && text.error().code == Code::not_found)
        return fail(Code::not_found, path + " does not exist: this directory is not a proxy host's",
                    "run pgkeel proxy join first, or name the right directory with --dir");
    if (!text) return fail(text.error());
    auto sources = json::read<std::vector<cluster::RouteSource>>(*text);
    if (!sources) return fail(std::move(sources.error()).in(path));
    if (sources->empty()) return fail(Code::corrupt, path + ": names no node", "join anew: pgkeel proxy join");
    return sources;
}

Status write_sources(std::string const& directory, std::vector<cluster::RouteSource> const& sources) {
    return runtime::write_atomically(sources_file(directory), json::write(sources) + "\n", 0600);
}

Status write_known_record(std::string const& directory, cluster::Record const& record) {
    return runtime::write_atomically(record_file(directory), cluster::encode(record) + "\n", 0600);
}

}  // namespace keel::agent
