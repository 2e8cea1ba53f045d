// What init, join and witness have in common: the node that is to be made, checked before anything is changed, and its
// directory, which is complete at the end or not there.
#pragma once

#include <functional>
#include <string>

#include "cli/commands.h"
#include "config/node_config.h"
#include "runtime/pki.h"

namespace keel::cli {

struct NewNode {
    config::NodeConfig config;
    std::string etcd;  // endpoints, separated by commas; empty: the embedded store, or what the cluster says
};

// Options with their defaults; `config.kind` is set already.
void add_new_node_options(CLI::App& command, NewNode& node);

// Completes what was left out and checks all that can be checked without touching the machine: names, addresses, ports,
// tags, store. Every problem is in the error.
Status complete(NewNode& node, std::string const& directory);

// Everything of this machine that would keep the node from working: user, programs, ports in use, space, clock. For the
// node's own user, with the directory there and empty.
Status check_machine(NewNode const& node, NodeId const& id);

// Whether this process could listen there; the mend names the option to change.
Status check_port(std::string const& host, std::uint16_t port, std::string const& option);

cluster::Member member_of(config::NodeConfig const& config);

// Makes the node's directory for `config.user` and runs `fill` there as that user (in a child process when this is
// root). When `fill` fails, or ends before its time, what it made is removed; what a killed run left is removed by the
// next one. Refuses a directory with anything else in it, and leaves that alone.
Done fill_directory(config::NodeConfig const& config, std::function<Done()> const& fill);

// The files that every new node has, but identity.json: directories, pki/, node.toml.
struct NewFiles {
    std::string authority;  // ca.crt
    Secret authority_key;   // empty: none
    runtime::Pair own;
};
Status write_files(config::NodeConfig const& config, NewFiles const& files);

}  // namespace keel::cli
