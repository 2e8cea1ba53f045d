// A restored server at work on a private socket: without network, nobody's member, and down again with its owner.
#pragma once

#include <string>

#include "postgres/bound.h"
#include "postgres/libpq.h"

namespace keel::archive {

class LoneServer {
  public:
    // As soon as it is in recovery, or through with it. Its words go to restore.log in the directory. unavailable: it
    // has ended itself.
    static Result<LoneServer> start(std::string directory, std::string binaries, postgres::Bound const& bound);
    // Recovers to its target, where it shuts itself down (recovery_target_action = shutdown).
    static Status recover(std::string directory, std::string binaries, postgres::Bound const& bound);
    LoneServer(LoneServer&& other) noexcept;
    LoneServer& operator=(LoneServer&&) = delete;
    ~LoneServer();  // stops it where it stands

    // Until recovery has ended; unavailable: it has ended itself instead.
    Status wait_for_end_of_recovery(postgres::Bound const& bound) const;
    // With a checkpoint: what it holds is on disk.
    Status stop();

    // The superuser's.
    postgres::ConnInfo conninfo(std::string const& database) const;

  private:
    LoneServer(std::string directory, std::string binaries);
    Status make_socket();
    Status control(std::vector<std::string> words, postgres::Bound const& bound) const;

    std::string directory_, binaries_;
    std::string socket_;  // its directory: paths of sockets are short, data directories need not be
    bool running_ = false;
};

}  // namespace keel::archive
