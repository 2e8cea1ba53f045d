#include "web/metrics_proxy.h"

#include <algorithm>

#include "base/utf8.h"
#include "web/metrics_text.h"

namespace keel::web {

namespace {

using proxy::Counts;
using proxy::Histogram;
using proxy::PoolState;
using proxy::Snapshot;

// Names in a database may have any encoding, and Prometheus refuses all of a text that is not UTF-8.
std::string readable(std::string_view name) {
    return replace_bytes(name, [](unsigned char byte) { return fmt::format("\\x{:02x}", byte); });
}

void write_histogram(Text& out, char const* name, char const* help, Histogram const& from) {
    out.family(name, "histogram", help);
    std::uint64_t below = 0;
    for (std::size_t i = 0; i < Histogram::kBounds.size(); ++i) {
        below += from.buckets[i];
        out.part("_bucket", below, fmt::format("le=\"{}\"", to_seconds(Histogram::kBounds[i])));
    }
    out.part("_bucket", from.count(), "le=\"+Inf\"");
    out.part("_sum", to_seconds(from.sum), {});
    out.part("_count", from.count(), {});
}

void write_state(Text& out, Snapshot const& now) {
    out.gauge("pgkeel_proxy_start_time_seconds", "When the proxy started, since 1970.",
              static_cast<double>(now.started_unix_ms) / 1000);
    out.gauge("pgkeel_proxy_holding", "1 while new work waits for a primary.", flag(now.holding));
    out.gauge("pgkeel_proxy_agent_heard", "1 while the proxy hears the agent of its node.", flag(!now.agent_silent));
    out.gauge("pgkeel_proxy_paused_databases", "Databases that an operator has paused; a pause of all counts as one.",
              now.paused);
    out.gauge("pgkeel_proxy_clients_max", "Setting clients_max.", now.clients_max);
    out.gauge("pgkeel_proxy_pool_size", "Setting pool_size: servers per database, user and node.",
              now.servers_max_per_pool);
    out.gauge("pgkeel_proxy_clients_logging_in", "Clients that have not logged in yet.", now.clients_logging_in);
    out.gauge("pgkeel_proxy_console_clients", "Clients of the admin console.", now.clients_console);
    Duration longest{0};
    for (auto const& one : now.pools) longest = std::max(longest, one.longest_wait);
    out.gauge("pgkeel_proxy_longest_wait_seconds", "How long the client waits for a server that waits longest now.",
              to_seconds(longest));
    out.family("pgkeel_proxy_node_servers", "gauge", "Connections to the PostgreSQL of a node.");
    for (auto const& one : now.nodes) {
        auto const label = fmt::format("node=\"{}\"", escape(one.name));
        out.sample_of(one.servers_active, label + ",state=\"active\"");
        out.sample_of(one.servers_idle, label + ",state=\"idle\"");
        out.sample_of(one.servers_opening, label + ",state=\"opening\"");
    }
    out.family("pgkeel_proxy_node_takes_reads", "gauge", "1 while reads may go to this standby.");
    for (auto const& one : now.nodes) {
        if (!one.leader) out.sample(flag(one.takes_reads), {{"node", one.name}});
    }
}

void write_all(Text& out, Counts const& all) {
    out.counter("pgkeel_proxy_transactions_total", "Transactions that ended.", all.transactions);
    out.counter("pgkeel_proxy_queries_total", "Queries of the simple protocol, and executions of the extended one.",
                all.queries);
    out.counter("pgkeel_proxy_received_bytes_total", "Bytes from clients.", all.bytes_received);
    out.counter("pgkeel_proxy_sent_bytes_total", "Bytes to clients.", all.bytes_sent);
    write_histogram(out, "pgkeel_proxy_wait_seconds", "Waits of clients for a server, one for each that was given.",
                    all.waits);
    write_histogram(out, "pgkeel_proxy_query_seconds", "Times with a query at a server; those of a pipeline as one.",
                    all.queries_took);
    write_histogram(out, "pgkeel_proxy_transaction_seconds", "Times with a transaction open, or a query at a server.",
                    all.transactions_took);
}

void write_totals(Text& out, proxy::Totals const& totals) {
    out.family("pgkeel_proxy_logins_total", "counter", "Logins of clients.");
    out.sample(totals.logins_accepted, {{"outcome", "accepted"}});
    out.sample(totals.logins_refused, {{"outcome", "refused"}});
    out.family("pgkeel_proxy_server_connections_total", "counter", "Attempts to connect to a server.");
    out.sample(totals.servers_opened, {{"outcome", "opened"}});
    out.sample(totals.servers_failed, {{"outcome", "failed"}});
    out.counter("pgkeel_proxy_servers_lost_total", "Servers that went away while a client had them.",
                totals.servers_lost);
    out.family("pgkeel_proxy_cancels_total", "counter", "Cancel requests; in_vain: a wrong key, or nothing to cancel.");
    out.sample(totals.cancels_sent, {{"outcome", "sent"}});
    out.sample(totals.cancels_in_vain, {{"outcome", "in_vain"}});
    out.counter("pgkeel_proxy_reads_again_total", "Reads that a standby refused or lost, and that the primary served.",
                totals.runs_again);
    out.family("pgkeel_proxy_commits_resolved_total", "counter",
               "Commits that were on their way when their server was lost, by what became of them.");
    out.sample(totals.fates_committed, {{"outcome", "committed"}});
    out.sample(totals.fates_not_committed, {{"outcome", "not_committed"}});
    out.sample(totals.fates_unknown, {{"outcome", "unknown"}});
    out.family("pgkeel_proxy_errors_total", "counter", "Errors that clients were told, by class of SQLSTATE.");
    for (auto const& [name, count] : totals.errors_of_servers.by_class())
        out.sample(count, {{"class", name}, {"origin", "server"}});
    for (auto const& [name, count] : totals.errors_of_proxy.by_class())
        out.sample(count, {{"class", name}, {"origin", "proxy"}});
}

// Families whose samples are pools.
class PoolFamilies {
  public:
    PoolFamilies(Text& out, Snapshot const& now) : out_(out), pools_(now.pools) {
        for (auto const& one : pools_)
            labels_.push_back(
                fmt::format("database=\"{}\",user=\"{}\"", escape(readable(one.database)), escape(readable(one.user))));
    }
    template <class Of>
    void family(char const* name, char const* type, char const* help, Of of) {
        out_.family(name, type, help);
        for (std::size_t i = 0; i < pools_.size(); ++i) out_.sample_of(of(pools_[i]), labels_[i]);
    }
    struct State {
        char const* name;
        std::size_t PoolState::* count;
    };
    void states(char const* name, char const* help, std::vector<State> const& states) {
        out_.family(name, "gauge", help);
        for (std::size_t i = 0; i < pools_.size(); ++i) {
            for (auto const& [state, count] : states)
                out_.sample_of(pools_[i].*count, fmt::format("{},state=\"{}\"", labels_[i], state));
        }
    }

  private:
    Text& out_;
    std::vector<PoolState> const& pools_;
    std::vector<std::string> labels_;
};

void write_pools(Text& out, Snapshot const& now) {
    PoolFamilies pools(out, now);
    pools.states("pgkeel_proxy_pool_clients", "Clients: at a server, waiting for one, or neither.",
                 {{"active", &PoolState::clients_active},
                  {"waiting", &PoolState::clients_waiting},
                  {"idle", &PoolState::clients_idle}});
    pools.states("pgkeel_proxy_pool_servers", "Servers: with a client, free, or being opened or cleaned.",
                 {{"active", &PoolState::servers_active},
                  {"idle", &PoolState::servers_idle},
                  {"opening", &PoolState::servers_opening}});
    pools.family("pgkeel_proxy_pool_longest_wait_seconds", "gauge", "How long the client waits that waits longest now.",
                 [](PoolState const& one) { return to_seconds(one.longest_wait); });
    pools.family("pgkeel_proxy_pool_assignments_total", "counter", "Servers that were given to clients.",
                 [](PoolState const& one) { return one.counts.waits.count(); });
    pools.family("pgkeel_proxy_pool_transactions_total", "counter", "Transactions that ended.",
                 [](PoolState const& one) { return one.counts.transactions; });
    pools.family("pgkeel_proxy_pool_queries_total", "counter", "Queries and executions.",
                 [](PoolState const& one) { return one.counts.queries; });
    pools.family("pgkeel_proxy_pool_received_bytes_total", "counter", "Bytes from clients, from their first server on.",
                 [](PoolState const& one) { return one.counts.bytes_received; });
    pools.family("pgkeel_proxy_pool_sent_bytes_total", "counter", "Bytes to clients, from their first server on.",
                 [](PoolState const& one) { return one.counts.bytes_sent; });
    pools.family("pgkeel_proxy_pool_wait_seconds_total", "counter", "Time that clients waited for a server.",
                 [](PoolState const& one) { return to_seconds(one.counts.waits.sum); });
    pools.family("pgkeel_proxy_pool_query_seconds_total", "counter", "Time with a query at a server.",
                 [](PoolState const& one) { return to_seconds(one.counts.queries_took.sum); });
    pools.family("pgkeel_proxy_pool_transaction_seconds_total", "counter",
                 "Time with a transaction open, or a query at a server.",
                 [](PoolState const& one) { return to_seconds(one.counts.transactions_took.sum); });
}

}  // namespace

std::string render_proxy(Snapshot const& now) {
    Text out;
    write_state(out, now);
    write_all(out, now.all);
    write_totals(out, now.totals);
    write_pools(out, now);
    return out.take();
}

}  // namespace keel::web
