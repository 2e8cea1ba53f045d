// What the agent tells the proxies of its node: where work may go, pushed as it changes, and who may log in, and
// what a database has that statements may use.
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
    // Nothing: the reader is to hear no more.
    using Look = std::function<std::optional<cluster::Routes>()>;
    // No place: a witness, which knows no users.
    Feed(runtime::Io& io, std::optional<postgres::Place> place);

    // After each step of the machine: proxies hear at once of a new record or state, of the rest within a tenth of a
    // second.
    void step(cluster::Node const& node);
    // For whoever follows: notified at each of these, as long as it is held.
    std::shared_ptr<runtime::Event> watch();
    // One line of JSON for each change, and an empty one each second. Until the reader is gone.
    runtime::Task<void> stream(runtime::HttpStream& out, Look look);
    // Every role with its verifier, as JSON: for proxies only, and never for a log. To another host go no verifiers
    // that are as good as a password (md5), and nothing of superusers and of roles that replicate.
    runtime::Task<Result<std::string>> users(bool to_another_host);
    // What one database has that a statement may use, as JSON (sql::Catalogue); only its version, when that is `known`.
    runtime::Task<Result<std::string>> catalogue(std::string database, std::string known);

  private:
    Result<std::string> read_users(bool to_another_host);
    Result<std::string> read_catalogue(std::string const& database, std::string const& known) const;

    runtime::Io& io_;
    std::optional<postgres::Place> place_;
    std::vector<std::weak_ptr<runtime::Event>> waiting_;
    std::pair<std::uint64_t, cluster::State> seen_;  // revision of the record, state of this node
    Instant woken_;
    runtime::Worker worker_;
    postgres::Connection connection_;  // the worker's
    runtime::Worker cataloguer_;       // takes longer: logins do not wait for it
};

}  // namespace keel::agent
