// node.toml, which people write.
#include "config/node_config.h"
#include "fuzz.h"

namespace keel::fuzz {

std::vector<std::string> seeds() {
    config::NodeConfig config;
    config.name = "anna";
    config.directory = "/var/lib/pgkeel";
    config.address = "10.0.0.1";
    config.postgres.parameters["work_mem"] = "8MB";
    config.tags.clonefrom = "bela";
    return {config::render_node_config(config),
            "name = \"anna\"\naddress = \"::1\"\n[postgres]\nport = 5433\nlisten = [\"*\"]\n[store]\nkind = \"etcd\"\n"
            "endpoints = [\"https://10.0.0.9:2379\"]\n[tags]\npriority = 3\n"};
}

// What is usable can be written and read back without a problem.
void eat(std::string_view bytes) {
    auto const parsed = config::parse_node_config(bytes, "node.toml", "/var/lib/pgkeel");
    for (auto const& problem : parsed.problems) must(!config::to_string(problem).empty());
    if (!parsed.usable()) return;
    auto const again =
        config::parse_node_config(config::render_node_config(parsed.config), "node.toml", parsed.config.directory);
    must(again.usable() && again.config.name == parsed.config.name);
    must(again.config.postgres.parameters == parsed.config.postgres.parameters);
}

}  // namespace keel::fuzz
