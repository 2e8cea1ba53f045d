// Connections to PostgreSQL with deadlines. libpq.cc is the only file that names libpq.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "postgres/bound.h"
#include "postgres/place.h"

namespace keel::postgres {

// Keyword and value pairs of libpq (manual, "Parameter Key Words"). Never holds a password: nodes authenticate by
// certificate, the agent by its operating system user.
using ConnInfo = std::vector<std::pair<std::string, std::string>>;
// The superuser through the node's Unix socket.
ConnInfo local_conninfo(Place const& place, std::string const& purpose, std::string const& database = "postgres");
// A peer, as `user`, by the node's certificate. `purpose` becomes the application_name.
ConnInfo peer_conninfo(Place const& place, Endpoint const& peer, std::string const& user, std::string const& purpose);
// As one string with libpq's quoting, for primary_conninfo and child processes.
std::string to_string(ConnInfo const& info);

// All values as text; an empty optional is NULL.
using Row = std::vector<std::optional<std::string>>;
using Rows = std::vector<Row>;

// One message of a stream.
struct Streamed {
    enum class Kind { data, nothing, end };  // nothing: none within the bound; end: the server has ended the stream
    Kind kind = Kind::nothing;
    std::string bytes = {};
};

class Connection {
  public:
    Connection();
    Connection(Connection&&) noexcept;
    Connection& operator=(Connection&&) noexcept;
    ~Connection();

    // unavailable (nobody listens, still starting), exhausted (too many connections), denied, timeout. Name resolution
    // of a host name is not bounded. Through the local socket it takes a walsender's place when clients have all
    // others, the reserved ones included.
    static Result<Connection> open(ConnInfo const& info, Bound const& bound);

    // One statement, parameters $1.. as text. After any error but a plain SQL error the connection is closed.
    Result<Rows> query(std::string const& sql, Bound const& bound, std::vector<std::string> const& parameters = {});
    // Exactly one row with one value that is not NULL.
    Result<std::string> value(std::string const& sql, Bound const& bound,
                              std::vector<std::string> const& parameters = {});
    // Sends and returns; poll answered() until it says so.
    Status send(std::string const& sql);
    // Result of send(): nothing yet, or how it ended.
    std::optional<Status> answered();

    // A command of the replication protocol that answers with a stream (manual, "Streaming Replication Protocol"):
    // the result sets that come before it.
    Result<std::vector<Rows>> start_stream(std::string const& command, Bound const& bound);
    Result<Streamed> receive(Bound const& bound);
    Status give(std::string const& message, Bound const& bound);
    // After Kind::end: the result sets that come behind it.
    Result<std::vector<Rows>> end_stream(Bound const& bound);

    bool is_open() const;
    int backend_pid() const;
    void close();
    // Notices and warnings since the last call.
    std::vector<std::string> take_notices();

    struct Link;

  private:
    static Result<Connection> open_once(ConnInfo const& info, Bound const& bound);

    std::unique_ptr<Link> link_;
};

}  // namespace keel::postgres
