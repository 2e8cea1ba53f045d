// The replication protocol as the archive speaks it (manual, "Streaming Replication Protocol").
#pragma once

#include <string>

#include "archive/catalogue.h"
#include "postgres/libpq.h"

namespace keel::archive {

// The local server, as superuser through its socket.
Result<postgres::Connection> connect(postgres::Place const& place, std::string const& purpose);

struct Server {
    std::string system;
    Origin origin;
    Lineage lineage;
    std::string history_text;  // empty on timeline 1
    Lsn flushed;
    bool standby = false;
    int version = 0;
};
Result<Server> look_at(postgres::Connection& link);

struct StreamMessage {
    Lsn start;
    std::string_view wal;  // empty: a sign of life
    Lsn server_end;        // so far the server has WAL; with WAL only
    bool reply_wanted = false;
};
// corrupt when it is neither XLogData nor a keepalive. Pure.
Result<StreamMessage> parse_stream_message(std::string_view bytes);
// Pure.
std::string status_message(Lsn written, Lsn flushed, std::int64_t unix_ms);

}  // namespace keel::archive
