// What the agent tells the proxies of its node: where work may go, pushed as it changes, and who may log in.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cluster/node.h"
#include "cluster/routes.h"
#include "postgres/libpq.h"
#include "runtime/blocking.h"
#include "runtime/http.h"

namespace keel::agent {

class Feed {
  public:
    using Look = std::function<cluster::Routes()>;
    // No place: a witness, which knows no users.
    Feed(runtime::Io& io, std::optional<postgres::Place> place);

    // After each step of the machine: proxies hear at once of a new record or state, of the rest within a tenth of a
    // second.
    void step(cluster::Node const& node);
    // One line of JSON for each change, and an empty one each second. Until the reader is gone.
    runtime::Task<void> stream(runtime::HttpStream& out, Look look);
    // Every role with its verifier, as JSON: for a proxy of this node only, and never for a log.
    runtime::Task<Result<std::string>> users();

  private:
    Result<std::string> read_users();

    runtime::Io& io_;
    std::optional<postgres::Place> place_;
    std::vector<std::weak_ptr<runtime::Event>> waiting_;
    std::pair<std::uint64_t, cluster::State> seen_;  // revision of the record, state of this node
    runtime::Worker worker_;
    postgres::Connection connection_;  // the worker's
};

}  // namespace keel::agent
