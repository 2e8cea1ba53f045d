// A drill under way: its schema, its load, the fault, the watching until the cluster is whole, and the books.
#pragma once

#include "cli/commands.h"
#include "cli/drill_report.h"
#include "cli/drill_schema.h"
#include "config/node_config.h"
#include "runtime/blocking.h"

namespace keel::cli::drill {

struct Setup {
    Order order;
    config::NodeConfig config;
    cluster::ClusterStatus before;
    Site site;
    std::vector<Eye> eyes;  // the agents of all members; this node's by its Unix socket
    Duration limit;         // until the cluster must be whole again
    std::FILE* out;         // for the lines that are printed as it goes
};

class Run {
  public:
    Run(runtime::Io& io, Setup setup);

    // Until the cluster was whole for two seconds, or the limit; may be cancelled at any moment. Then settle(), which
    // ends the load, looks every write up, and drops the schema; it undoes nothing else.
    runtime::Task<void> perform();
    runtime::Task<void> settle(bool interrupted);

    // Why there was no fault; empty when there was one, or when somebody ended the drill before it.
    std::optional<Failure> const& refusal() const { return refusal_; }
    bool fault_done() const { return recorded_.fault != Instant{}; }
    // Why the schema could not be dropped.
    std::optional<Error> const& left_behind() const { return left_behind_; }
    Report const& report() const { return report_; }

  private:
    runtime::Task<Done> prepare();
    runtime::Task<Done> check_again();
    runtime::Task<Done> strike();
    runtime::Task<Done> ask_for_switchover();
    runtime::Task<void> watch_recovery();
    runtime::Task<void> read_history();
    // Again and again for ten seconds: a primary may just be on its way.
    runtime::Task<Status> insist(std::function<Status()> work);
    cluster::ClusterStatus const* told() const;

    runtime::Io* io_;
    Setup setup_;
    Watch watch_;
    runtime::Worker worker_;
    Load load_;
    bool schema_begun_ = false;
    Recorded recorded_;
    std::optional<Failure> refusal_;
    std::optional<Error> left_behind_;
    Report report_;
};

}  // namespace keel::cli::drill
