// Keeps a node's certificates good: its own is renewed before it ends, and those of nodes that have left are shut out
// of PostgreSQL.
#pragma once

#include "agent/driver.h"
#include "agent/start_up.h"
#include "peer/channel.h"
#include "runtime/blocking.h"
#include "runtime/http.h"

namespace keel::agent {

class Certificates {
  public:
    struct Parts {
        Prepared* prepared = nullptr;  // its TLS identity follows the renewals
        Driver const* driver = nullptr;
        peer::Channel* channel = nullptr;
        runtime::HttpServer* http = nullptr;  // none: there is no API
        postgres::Server* server = nullptr;   // none: a witness
        std::string pki;                      // the directory
    };
    // `channel`, `http` and `server` take up every new certificate without a restart.
    Certificates(runtime::Io& io, Parts parts) : parts_(std::move(parts)), worker_("certificates"), look_(io) {}

    // Renews the own certificate when two thirds of its life are over, and takes up one that was put there by hand. The
    // key stays, so that the one file that changes is replaced at once. Signed with the authority's key where the node
    // has it (data nodes), else by a data node over the peer channel.
    runtime::Task<void> keep_own();
    // Sees to it that PostgreSQL knows the members, and nobody else.
    runtime::Task<void> keep_members();
    // Looks at the own certificate now.
    void look_now() { look_.notify(); }

    // The call of a peer: the certificate for its request, when it is a member and this node has the authority's key.
    runtime::Task<Result<std::string>> answer(NodeId from, std::string method, std::string argument);

  private:
    runtime::Task<Status> renew_if_due();
    runtime::Task<Result<std::string>> signed_by_somebody(std::string request);
    runtime::Task<Result<std::string>> sign(NodeId node, std::string request);
    runtime::Task<Status> take_up(runtime::TlsIdentity identity);

    Parts parts_;
    runtime::Worker worker_;
    runtime::Event look_;
};

}  // namespace keel::agent
