#include "postgres/libpq.h"

#include <poll.h>

#include <algorithm>
#include <string_view>

#include "postgres/libpq_link.h"
#include "postgres/setup.h"

namespace keel::postgres {

std::string trimmed(char const* text) {
    std::string out = text != nullptr ? text : "";
    while (!out.empty() && (out.back() == '\n' || out.back() == ' ')) out.pop_back();
    return out;
}

namespace {

void keep_notice(void* list, PGresult const* notice) {
    auto& notices = *static_cast<std::vector<std::string>*>(list);
    if (notices.size() < 100) notices.push_back(trimmed(PQresultErrorMessage(notice)));
}

}  // namespace

// Waits until the socket is ready for `events`.
Status wait_for(PGconn* handle, short events, Bound const& bound, std::string const& doing) {
    for (;;) {
        if (bound.over()) return fail(bound.why(doing));
        pollfd one{PQsocket(handle), events, 0};
        int const ready = ::poll(&one, 1, bound.poll_ms());
        if (ready > 0) return {};
        if (ready < 0 && errno != EINTR) return fail(Code::internal, doing + ": poll failed");
    }
}

Code code_of(PGresult const* answer) {
    char const* state = PQresultErrorField(answer, PG_DIAG_SQLSTATE);
    std::string_view const sqlstate = state != nullptr ? state : "";
    if (sqlstate.starts_with("08") || sqlstate.starts_with("57P")) return Code::unavailable;
    if (sqlstate == "42501" || sqlstate.starts_with("28")) return Code::denied;
    // 58P01: a file that is not there (any more), such as a WAL segment that was removed.
    if (sqlstate == "42704" || sqlstate == "3D000" || sqlstate == "58P01") return Code::not_found;
    if (sqlstate == "57014") return Code::timeout;
    if (sqlstate.starts_with("53")) return Code::exhausted;
    if (sqlstate.starts_with("55") || sqlstate == "42710") return Code::conflict;
    return Code::invalid;
}

bool good(PGresult const* answer) {
    auto const status = PQresultStatus(answer);
    return status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK;
}

Rows rows_of(PGresult const* answer) {
    Rows rows(static_cast<std::size_t>(PQntuples(answer)));
    for (int row = 0; row < PQntuples(answer); ++row) {
        for (int column = 0; column < PQnfields(answer); ++column) {
            std::optional<std::string> cell;
            if (PQgetisnull(answer, row, column) == 0) cell = PQgetvalue(answer, row, column);
            rows[static_cast<std::size_t>(row)].push_back(std::move(cell));
        }
    }
    return rows;
}

// What a user may have set for the role or the database must not change what we ask: with another search_path a
// function of somebody else's would run with our rights. And ten observations a second must not fill the log.
constexpr char const* kOptions =
    "-c search_path=pg_catalog -c statement_timeout=0 -c lock_timeout=0 -c default_transaction_read_only=off "
    "-c log_statement=none -c log_duration=off -c log_min_duration_statement=-1 -c client_min_messages=warning "
    "-c pgkeel.floor_exempt=on";

// Without what only a superuser may set. Also for pg_rewind and pg_basebackup, which are handed the same text.
constexpr char const* kPeerOptions =
    "-c search_path=pg_catalog -c default_transaction_read_only=on -c statement_timeout=0 -c lock_timeout=0 "
    "-c client_min_messages=warning";

ConnInfo local_conninfo(Place const& place, std::string const& purpose, std::string const& database) {
    return {{"host", place.run()},
            {"port", std::to_string(place.port)},
            {"user", kSuperuser},
            {"dbname", database},
            {"application_name", purpose},
            {"connect_timeout", "5"},
            {"gssencmode", "disable"},
            {"sslmode", "disable"},
            {"target_session_attrs", "any"},
            {"client_encoding", "UTF8"},
            {"passfile", "/dev/null/none"},
            {"options", kOptions}};
}

ConnInfo peer_conninfo(Place const& place, Endpoint const& peer, std::string const& user, std::string const& purpose) {
    // Dead peers must be noticed within seconds also when nothing is sent (keepalives) and while data is in flight
    // (tcp_user_timeout).
    return {{"host", peer.host},
            {"port", std::to_string(peer.port)},
            {"user", user},
            {"dbname", "postgres"},
            {"application_name", purpose},
            {"sslmode", "verify-ca"},
            {"sslcert", place.pki("node.crt")},
            {"sslkey", place.pki("node.key")},
            {"sslrootcert", place.pki("ca.crt")},
            {"passfile", "/dev/null/none"},
            {"gssencmode", "disable"},
            {"target_session_attrs", "any"},
            {"connect_timeout", "5"},
            {"keepalives", "1"},
            {"keepalives_idle", "2"},
            {"keepalives_interval", "1"},
            {"keepalives_count", "3"},
            {"tcp_user_timeout", "5000"},
            {"options", kPeerOptions}};
}

std::string to_string(ConnInfo const& info) {
    std::string out;
    for (auto const& [key, value] : info) {
        if (!out.empty()) out += ' ';
        out += key + "='";
        for (char const c : value) {
            if (c == '\'' || c == '\\') out += '\\';
            out += c;
        }
        out += '\'';
    }
    return out;
}

Connection::Connection() = default;
Connection::Connection(Connection&&) noexcept = default;
Connection& Connection::operator=(Connection&&) noexcept = default;
Connection::~Connection() = default;

namespace {

// too_many_connections; asked for by its number, because the text is in the server's language.
bool all_taken(std::string const& refusal) { return refusal.contains(" 53300: "); }

// What PQERRORS_VERBOSE adds is for programs.
std::string for_people(std::string text) {
    text.resize(std::min(text.find("\nLOCATION:"), text.size()));
    auto const number = text.find("FATAL:  ");
    if (number != std::string::npos && text.size() > number + 15 && text[number + 13] == ':') text.erase(number + 8, 7);
    return text;
}

// A statement for those who take no parameters: $1.. replaced by quoted text.
Result<std::string> in_one_piece(PGconn* handle, std::string const& sql, std::vector<std::string> const& parameters) {
    std::string out;
    for (std::size_t i = 0; i < sql.size(); ++i) {
        auto const number = sql[i] == '$' && i + 1 < sql.size() ? sql[i + 1] - '0' : 0;
        if (number < 1 || static_cast<std::size_t>(number) > parameters.size()) {
            out += sql[i];
            continue;
        }
        auto const& value = parameters[static_cast<std::size_t>(number) - 1];
        std::unique_ptr<char, Releaser<PQfreemem>> const quoted(PQescapeLiteral(handle, value.c_str(), value.size()));
        if (!quoted) return fail(Code::invalid, "PostgreSQL: " + trimmed(PQerrorMessage(handle)));
        out += quoted.get();
        ++i;
    }
    return out;
}

}  // namespace

Result<Connection> Connection::open(ConnInfo const& info, Bound const& bound) {
    auto opened = open_once(info, bound);
    bool const local =
        std::ranges::any_of(info, [](auto const& one) { return one.first == "host" && one.second.starts_with('/'); });
    if (opened || opened.error().code != Code::exhausted || !local) return opened;
    // Clients cannot take the walsenders' places, and a walsender of a database answers SQL, too.
    ConnInfo as_walsender = info;
    as_walsender.emplace_back("replication", "database");
    auto other = open_once(as_walsender, bound);
    if (!other) return opened;
    return other;
}

Result<Connection> Connection::open_once(ConnInfo const& info, Bound const& bound) {
    std::string where = "connecting to PostgreSQL";
    bool walsender = false;
    std::vector<char const*> keys;
    std::vector<char const*> values;
    for (auto const& [key, value] : info) {
        keys.push_back(key.c_str());
        values.push_back(value.c_str());
        if (key == "host") where += " at " + value;
        if (key == "port") where += " port " + value;
        walsender = walsender || key == "replication";
    }
    keys.push_back(nullptr);
    values.push_back(nullptr);

    Connection out;
    out.link_ = std::make_unique<Link>();
    out.link_->walsender = walsender;
    out.link_->handle.reset(PQconnectStartParams(keys.data(), values.data(), 0));
    auto* handle = out.link_->handle.get();
    if (handle == nullptr) return fail(Code::exhausted, where + ": out of memory");
    PQsetNoticeReceiver(handle, keep_notice, &out.link_->notices);
    PQsetErrorVerbosity(handle, PQERRORS_VERBOSE);
    auto next = PGRES_POLLING_WRITING;
    while (PQstatus(handle) != CONNECTION_BAD && next != PGRES_POLLING_OK && next != PGRES_POLLING_FAILED) {
        KEEL_CHECK(wait_for(handle, next == PGRES_POLLING_READING ? POLLIN : POLLOUT, bound, where));
        next = PQconnectPoll(handle);
    }
    if (PQstatus(handle) != CONNECTION_OK) {
        auto const why = trimmed(PQerrorMessage(handle));
        return fail(all_taken(why) ? Code::exhausted : Code::unavailable, where + ": " + for_people(why));
    }
    PQsetErrorVerbosity(handle, PQERRORS_DEFAULT);
    PQsetnonblocking(handle, 1);
    return out;
}

Result<Rows> Connection::query(std::string const& sql, Bound const& bound, std::vector<std::string> const& parameters) {
    if (!is_open()) return fail(Code::unavailable, "the connection to PostgreSQL is closed");
    auto* handle = link_->handle.get();
    bool sent = false;
    if (link_->walsender) {
        KEEL_TRY(auto const whole, in_one_piece(handle, sql, parameters));
        sent = PQsendQuery(handle, whole.c_str()) == 1;
    } else {
        std::vector<char const*> values;
        for (auto const& parameter : parameters) values.push_back(parameter.c_str());
        sent = PQsendQueryParams(handle, sql.c_str(), static_cast<int>(values.size()), nullptr, values.data(), nullptr,
                                 nullptr, 0) == 1;
    }
    Result<Rows> out = Rows{};
    auto broken = [&](Error error) -> Result<Rows> {
        error.outcome = Outcome::unknown;
        close();
        return fail(std::move(error));
    };
    if (!sent) return broken({Code::unavailable, "PostgreSQL: " + trimmed(PQerrorMessage(handle))});
    for (int unsent = PQflush(handle); unsent != 0; unsent = PQflush(handle)) {
        if (unsent < 0) return broken({Code::unavailable, "PostgreSQL: " + trimmed(PQerrorMessage(handle))});
        if (auto ready = wait_for(handle, POLLOUT, bound, "sending to PostgreSQL"); !ready)
            return broken(ready.error());
    }
    for (;;) {
        while (PQisBusy(handle) != 0) {
            if (auto ready = wait_for(handle, POLLIN, bound, "waiting for PostgreSQL"); !ready)
                return broken(ready.error());
            if (PQconsumeInput(handle) != 1) {
                return broken({Code::unavailable, "PostgreSQL: " + trimmed(PQerrorMessage(handle))});
            }
        }
        Answer answer(PQgetResult(handle));
        if (!answer) break;
        if (good(answer.get()))
            out = rows_of(answer.get());
        else
            out = fail(code_of(answer.get()), "PostgreSQL: " + trimmed(PQresultErrorMessage(answer.get())));
    }
    if (PQstatus(handle) != CONNECTION_OK) close();
    return out;
}

Result<std::string> Connection::value(std::string const& sql, Bound const& bound,
                                      std::vector<std::string> const& parameters) {
    KEEL_TRY(Rows rows, query(sql, bound, parameters));
    if (rows.size() != 1 || rows[0].size() != 1 || !rows[0][0]) {
        return fail(Code::not_found, "PostgreSQL: not one value from: " + sql);
    }
    return *std::move(rows[0][0]);
}

Status Connection::send(std::string const& sql) {
    if (!is_open()) return fail(Code::unavailable, "the connection to PostgreSQL is closed");
    auto* handle = link_->handle.get();
    if (PQsendQuery(handle, sql.c_str()) != 1 || PQflush(handle) < 0) {
        return fail(Code::unavailable, "PostgreSQL: " + trimmed(PQerrorMessage(handle)));
    }
    return {};
}

std::optional<Status> Connection::answered() {
    if (!is_open()) return fail(Code::unavailable, "the connection to PostgreSQL is closed");
    auto* handle = link_->handle.get();
    if (PQflush(handle) < 0 || PQconsumeInput(handle) != 1) {
        Status lost = fail(Code::unavailable, "PostgreSQL: " + trimmed(PQerrorMessage(handle)));
        close();
        return lost;
    }
    Status out;
    while (PQisBusy(handle) == 0) {
        Answer answer(PQgetResult(handle));
        if (!answer) return out;
        if (!good(answer.get()))
            out = fail(code_of(answer.get()), "PostgreSQL: " + trimmed(PQresultErrorMessage(answer.get())));
    }
    return std::nullopt;
}

bool Connection::is_open() const { return link_ && link_->handle && PQstatus(link_->handle.get()) == CONNECTION_OK; }

int Connection::backend_pid() const { return is_open() ? PQbackendPID(link_->handle.get()) : 0; }

void Connection::close() { link_.reset(); }

std::vector<std::string> Connection::take_notices() {
    if (!link_) return {};
    return std::exchange(link_->notices, {});
}

}  // namespace keel::postgres
