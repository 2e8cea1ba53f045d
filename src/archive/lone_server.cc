#include "archive/lone_server.h"

#include <fmt/format.h>
#include <stdlib.h>

#include <filesystem>
#include <utility>

#include "postgres/job.h"
#include "postgres/setup.h"
#include "runtime/files.h"

namespace keel::archive {

namespace {
using postgres::Bound;
}  // namespace

LoneServer::LoneServer(std::string directory, std::string binaries)
    : directory_(std::move(directory)), binaries_(std::move(binaries)) {}

LoneServer::LoneServer(LoneServer&& other) noexcept
    : directory_(std::move(other.directory_)),
      binaries_(std::move(other.binaries_)),
      socket_(std::exchange(other.socket_, {})),
      running_(std::exchange(other.running_, false)) {}

LoneServer::~LoneServer() {
    if (running_) (void)control({"-w", "-t", "60", "-m", "immediate", "stop"}, Bound(70s));
    std::error_code ignored;
    if (!socket_.empty()) std::filesystem::remove_all(socket_, ignored);
}

Status LoneServer::control(std::vector<std::string> words, Bound const& bound) const {
    words.insert(words.begin(), {binaries_ + "/pg_ctl", "-D", directory_});
    KEEL_CHECK(postgres::run_job({std::move(words)}, bound));
    return {};
}

Status LoneServer::make_socket() {
    char socket[] = "/tmp/pgkeel-restore-XXXXXX";
    if (::mkdtemp(socket) == nullptr) return fail(runtime::system_error(errno, socket));
    socket_ = socket;
    return {};
}

Status LoneServer::recover(std::string directory, std::string binaries, Bound const& bound) {
    LoneServer one(std::move(directory), std::move(binaries));
    KEEL_CHECK(one.make_socket());
    KEEL_TRY(auto const said, postgres::run_job({{one.binaries_ + "/postgres", "-D", one.directory_, "-p", "5432", "-c",
                                                  "listen_addresses=", "-c", "unix_socket_directories=" + one.socket_,
                                                  "-c", "logging_collector=off", "-c", "log_destination=stderr", "-c",
                                                  "log_min_messages=warning", "-c", "lc_messages=C"}},
                                                bound));
    if (said.contains("shutdown at recovery target")) return {};
    return fail(Code::unavailable, "the server has ended before it reached the end of the archive: " + said,
                "pgkeel backup verify says whether the repository is whole");
}

Result<LoneServer> LoneServer::start(std::string directory, std::string binaries, Bound const& bound) {
    LoneServer out(std::move(directory), std::move(binaries));
    KEEL_CHECK(out.make_socket());
    auto const options = fmt::format("-p 5432 -c unix_socket_directories={} -c listen_addresses=", out.socket_);
    // Also when this is ended half way: there may be a server then. pg_ctl counts one in recovery as started.
    out.running_ = true;
    KEEL_CHECK(out.control({"-w", "-t", "3600", "-l", out.directory_ + "/restore.log", "-o", options, "start"}, bound));
    return out;
}

// It lets nobody in before recovery has ended, and ends itself when it cannot reach the target (PostgreSQL 13 and up).
Status LoneServer::wait_for_end_of_recovery(Bound const& bound) const {
    do {
        auto link = postgres::Connection::open(conninfo("postgres"), bound.at_most(10s));
        auto const recovering = link ? link->value("SELECT pg_is_in_recovery()", bound.at_most(10s))
                                     : Result<std::string>(std::unexpected(link.error()));
        if (recovering && *recovering == "f") return {};
        if (!control({"status"}, bound.at_most(60s)) && !bound.over())
            return fail(Code::unavailable, "the server has ended");
    } while (bound.pause(200ms));
    return fail(bound.why("recovery"));
}

Status LoneServer::stop() {
    KEEL_CHECK(control({"-w", "-t", "600", "-m", "fast", "stop"}, Bound(660s)));
    running_ = false;
    return {};
}

postgres::ConnInfo LoneServer::conninfo(std::string const& database) const {
    return {{"host", socket_},
            {"port", "5432"},
            {"user", postgres::kSuperuser},
            {"dbname", database},
            {"passfile", "/dev/null/none"}};
}

}  // namespace keel::archive
