// Where one node's PostgreSQL lives, and what the agent hands it: addresses of peers, settings, a listener for
// progress.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/ids.h"
#include "postgres/disk.h"

namespace keel::postgres {

struct Endpoint {
    std::string host;
    std::uint16_t port = 5432;
    bool operator==(Endpoint const&) const = default;
};
// PostgreSQL's address of every other data member.
using Peers = std::map<NodeId, Endpoint>;

// "host:port", "[v6]:port" or "host". Empty host when it is none of these.
Endpoint parse_endpoint(std::string_view text, std::uint16_t port_default = 5432);

// Fixed for the life of the agent.
struct Place {
    std::string directory = "/var/lib/pgkeel";            // the node's
    std::string binaries = "/usr/lib/postgresql/15/bin";  // of one major version
    NodeId id;
    std::string name;  // for people
    std::vector<std::string> listen_addresses = {"localhost"};
    std::uint16_t port = 5432;

    std::string data() const { return directory + "/data"; }
    std::string run() const { return directory + "/run"; }
    std::string log() const { return directory + "/log"; }
    std::string pki(std::string const& file) const { return directory + "/pki/" + file; }
    std::string quarantine() const { return directory + "/quarantine"; }
    std::string marker() const { return directory + "/unfinished"; }  // of a clone or rewind: data/ must not start
    std::string data_new() const { return directory + "/data.new"; }
    std::string data_old() const { return directory + "/data.old"; }
    std::string binary(std::string const& program) const { return binaries + "/" + program; }
};

using Parameters = std::map<std::string, std::string>;

// May change while the server runs; Verb::configure carries it out.
struct Settings {
    Parameters cluster;                       // the record's settings.postgres
    Parameters node;                          // node.toml [postgres.parameters]; wins over `cluster`
    int delayed_s = 0;                        // the member's tag
    std::set<NodeId> members = {};            // whose certificates open the replication roles; the node's own always
    std::set<std::string> proxied = {};       // roles that these certificates open as well, as the server said last
    std::uint32_t clone_rate_kbytes_max = 0;  // kilobytes per second of a clone; 0: as fast as it goes
    std::string extension;                    // the library that fences inside PostgreSQL; empty: none
    DiskLimits disk = {};
    bool operator==(Settings const&) const = default;
};

struct Progress {
    std::string what;  // "clone from b", "rewind to b"
    std::uint64_t done_bytes = 0;
    std::uint64_t total_bytes = 0;  // 0: not known yet
};
using ProgressListener = std::function<void(Progress const&)>;

}  // namespace keel::postgres
