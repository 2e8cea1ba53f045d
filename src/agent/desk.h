// What the agent offers to those who look at it and those who change something: the API, the command line behind it,
// metrics.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "agent/driver.h"
#include "agent/feed.h"
#include "agent/start_up.h"
#include "cluster/operations.h"
#include "cluster/status.h"

namespace keel::agent {

class Alerting;
class Backups;
class Ledger;

// One finding of `doctor`.
struct Finding {
    bool good = false;
    std::string what;
    std::string text;
    std::string mend;
};

class Desk {
  public:
    using Edit = std::function<Status(cluster::Record&)>;
    struct Parts {
        Driver* driver = nullptr;
        consensus::Store* store = nullptr;
        Supervisor* supervisor = nullptr;  // none: a witness
        Prepared const* prepared = nullptr;
        std::function<Result<std::string>()> reload;  // node.toml again; what was taken over
        Feed* feed = nullptr;
        std::function<std::string()> fence;  // whether the server fences itself, and why not
    };
    Desk(config::NodeConfig config, Parts parts) : config_(std::move(config)), parts_(std::move(parts)) {}

    cluster::Sight look() const;
    // What decisions rest on, without what takes a look at processes and files: cheap enough for ten times a second.
    cluster::Sight glance() const;
    // Reads the record, edits it, writes it by compare-and-swap, and starts over when somebody else was faster: the
    // edit may be called more than once. Its own error comes back unchanged, and nothing was written then.
    // Outcome::unknown: it may have happened.
    runtime::Task<Result<cluster::Record>> change(Edit edit);
    runtime::Task<Result<std::string>> reload();
    runtime::Task<std::vector<Finding>> doctor();
    // For the proxies of this node.
    Feed& feed() const { return *parts_.feed; }
    Counters counters() const { return parts_.driver->story().counters(); }
    std::deque<Decision> const& decisions() const { return parts_.driver->story().decisions(); }
    // For history entries made by this agent itself.
    cluster::Caller caller(std::string who) const;
    config::NodeConfig const& config() const { return config_; }
    NodeId const& self() const { return parts_.prepared->identity.node; }
    std::string pki() const { return config_.directory + "/pki"; }
    // None: a witness, which keeps no book of alerts.
    Alerting* alerting() const { return alerting_; }
    void offer(Alerting& alerting) { alerting_ = &alerting; }
    Backups const* backups() const { return backups_; }  // none: a witness
    void offer(Backups& backups) { backups_ = &backups; }
    Ledger& ledger() const { return *ledger_; }
    void offer(Ledger& ledger) { ledger_ = &ledger; }

  private:
    runtime::Task<cluster::StoreAnswer> read();
    runtime::Task<cluster::StoreAnswer> swap(std::uint64_t expected, cluster::Record record);
    std::vector<Finding> local_findings() const;

    config::NodeConfig config_;
    Parts parts_;
    Alerting* alerting_ = nullptr;
    Ledger* ledger_ = nullptr;
    Backups* backups_ = nullptr;
    mutable std::pair<std::string, std::int64_t> certificate_read_;  // PEM and its end: it takes long to parse
};

}  // namespace keel::agent
