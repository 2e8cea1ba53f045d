#include "agent/store_choice.h"

#include <sys/stat.h>

#include "consensus/etcd.h"
#include "runtime/blocking.h"
#include "runtime/clock.h"
#include "runtime/files.h"
#include "runtime/scope.h"

namespace keel::agent {

namespace {

using runtime::Task;

consensus::Embedded::Ports ports_of(StoreParts parts) {
    consensus::Embedded::Ports out;
    out.send = parts.send;
    out.post = [io = parts.io](std::function<void()> run) { runtime::asio::post(*io, std::move(run)); };
    out.after = [scope = parts.scope](Duration span, std::function<void()> run) {
        scope->spawn("store timer", [span, run = std::move(run)]() -> Task<void> {
            co_await runtime::sleep_for(span);
            run();
        });
    };
    out.blocking = [parts](std::function<Status()> work, std::function<void(Status)> done) {
        parts.scope->spawn("store write",
                           [disk = parts.disk, work = std::move(work), done = std::move(done)]() -> Task<void> {
                               done(co_await runtime::run_blocking(*disk, work));
                           });
    };
    out.random = [] { return runtime::random_u64(); };
    return out;
}

Result<ChosenStore> open_embedded(config::NodeConfig const& config, NodeIdentity const& identity,
                                  std::optional<cluster::Record> const& known, StoreParts parts) {
    consensus::Embedded::Options options;
    options.file = acceptor_file(config.directory);
    options.cluster_id = identity.cluster_id;
    options.self = identity.node;
    if (known) {
        for (auto const& [id, unused] : known->members) options.peers.insert(id);
    }
    KEEL_TRY(auto embedded, consensus::Embedded::open(std::move(options), ports_of(std::move(parts))));
    auto* const same = embedded.get();
    return ChosenStore{std::move(embedded), same};
}

// The first line of a file that nobody else may read.
Result<Secret> read_password(std::string const& path) {
    if (path.empty()) return Secret{};
    struct stat seen{};
    if (::stat(path.c_str(), &seen) == 0 && (seen.st_mode & 007) != 0)
        return fail(Code::denied, path + ": a password that everybody on the machine may read is not used",
                    "chmod 0600 it, and change the password if others could have read it");
    KEEL_TRY(auto text, runtime::read_file(path, 4096));
    return Secret(text.substr(0, text.find('\n')));
}

Result<ChosenStore> open_etcd(config::NodeConfig const& config, std::optional<cluster::Record> const& known,
                              StoreParts const& parts) {
    if (!known)
        return fail(Code::not_found, config.directory + "/state/known-record is missing or unreadable",
                    "the name of the cluster is in it: run pgkeel join again");
    KEEL_TRY(auto password, read_password(config.store.password_file));
    consensus::Etcd::Options options;
    options.endpoints = config.store.endpoints;
    options.key = config.store.prefix + "/" + known->name + "/record";
    options.ca_file = config.store.ca_file;
    options.cert_file = config.store.cert_file;
    options.key_file = config.store.key_file;
    options.user = config.store.user;
    options.password = std::move(password);
    options.known_revision = known->revision;
    KEEL_TRY(auto etcd, consensus::Etcd::open(std::move(options), [io = parts.io](std::function<void()> run) {
                 runtime::asio::post(*io, std::move(run));
             }));
    return ChosenStore{std::move(etcd), nullptr};
}

}  // namespace

Result<ChosenStore> open_store(config::NodeConfig const& config, NodeIdentity const& identity,
                               std::optional<cluster::Record> const& known, StoreParts parts) {
    if (config.store.kind == config::StoreKind::etcd) return open_etcd(config, known, parts);
    return open_embedded(config, identity, known, std::move(parts));
}

}  // namespace keel::agent
