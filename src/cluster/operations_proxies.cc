// Proxies on hosts of applications as edits of the record.
#include <fmt/format.h>

#include <algorithm>

#include "cluster/operations.h"

namespace keel::cluster {

namespace {

auto named(Record& record, std::string const& name) {
    return std::ranges::find_if(record.proxies, [&](auto const& entry) { return entry.second.name == name; });
}

}  // namespace

Status add_proxy(Record& record, NodeId const& id, std::string const& name, Caller const& caller) {
    // Each of them keeps one connection to a node's API, perhaps all of them to the same.
    constexpr std::size_t kProxiesMax = 100;
    if (record.members.contains(id) || record.proxies.contains(id))
        return fail(Code::conflict, "this id is known in the cluster already", "pgkeel proxy join makes a new one");
    if (named(record, name) != record.proxies.end())
        return fail(Code::conflict, fmt::format("a proxy host named {} exists already", name),
                    fmt::format("choose another --name; to replace that one for good: pgkeel proxy remove {}", name));
    if (record.proxies.size() >= kProxiesMax)
        return fail(Code::exhausted, fmt::format("the cluster has {} proxy hosts already", kProxiesMax),
                    "take out those that are gone: pgkeel proxy list, pgkeel proxy remove NAME");
    record.proxies[id] = {name, caller.unix_ms};
    note(record, caller.node, caller.unix_ms, "proxy", fmt::format("proxy host {} joined, by {}", name, caller.who));
    return {};
}

Status remove_proxy(Record& record, std::string const& name, Caller const& caller) {
    auto const found = named(record, name);
    if (found == record.proxies.end()) {
        std::string names;
        for (auto const& [id, host] : record.proxies) names += (names.empty() ? "" : ", ") + host.name;
        return fail(Code::not_found, fmt::format("there is no proxy host named \"{}\"", name),
                    names.empty() ? "the cluster has none" : "there are: " + names);
    }
    record.proxies.erase(found);
    note(record, caller.node, caller.unix_ms, "proxy", fmt::format("proxy host {} removed, by {}", name, caller.who));
    return {};
}

}  // namespace keel::cluster
