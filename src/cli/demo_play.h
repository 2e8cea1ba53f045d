// The demo's play: a cluster of three, a shop under load, the death of its primary, and what became of it.
#pragma once

#include "cli/cli.h"
#include "cli/demo_nodes.h"
#include "cli/demo_report.h"
#include "runtime/blocking.h"

namespace keel::cli::demo {

class Play {
  public:
    Play(runtime::Io& io, DemoOptions const& options, Nodes nodes, std::string root);

    // The whole of it; an error ends it early.
    runtime::Task<Status> perform();
    // How to reach the cluster, for those who stay.
    std::string directions() const;
    // Ends every process. Blocks.
    void end();
    // Nothing was lost and the cluster is whole.
    bool good() const { return findings_.good(); }

  private:
    runtime::Task<Status> raise_cluster();
    runtime::Task<Status> open_shop();
    runtime::Task<Status> kill_primary();
    runtime::Task<Status> bring_it_back();
    runtime::Task<Status> settle();
    // Looks at the cluster until `reached`; timeout names `what`.
    runtime::Task<Status> until(std::string what, Duration limit, std::function<bool()> reached);

    DemoOptions options_;
    std::string root_;
    Nodes nodes_;
    Watch watch_;
    runtime::Worker worker_;
    Shop shop_;
    Load load_;
    Findings findings_;
};

}  // namespace keel::cli::demo
