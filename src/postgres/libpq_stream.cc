#include <poll.h>

#include "postgres/libpq_link.h"

namespace keel::postgres {

namespace {

Error lost(PGconn* handle) { return {Code::unavailable, "PostgreSQL: " + trimmed(PQerrorMessage(handle))}; }

Status flush(PGconn* handle, Bound const& bound) {
    for (int unsent = PQflush(handle); unsent != 0; unsent = PQflush(handle)) {
        if (unsent < 0) return fail(lost(handle));
        KEEL_CHECK(wait_for(handle, POLLOUT, bound, "sending to PostgreSQL"));
    }
    return {};
}

Result<Answer> next_answer(PGconn* handle, Bound const& bound) {
    while (PQisBusy(handle) != 0) {
        KEEL_CHECK(wait_for(handle, POLLIN, bound, "waiting for PostgreSQL"));
        if (PQconsumeInput(handle) != 1) return fail(lost(handle));
    }
    Answer answer(PQgetResult(handle));
    if (answer && PQresultStatus(answer.get()) == PGRES_FATAL_ERROR)
        return fail(code_of(answer.get()), "PostgreSQL: " + trimmed(PQresultErrorMessage(answer.get())));
    return answer;
}

}  // namespace

Result<std::vector<Rows>> Connection::start_stream(std::string const& command, Bound const& bound) {
    if (!is_open()) return fail(Code::unavailable, "the connection to PostgreSQL is closed");
    auto* handle = link_->handle.get();
    if (PQsendQuery(handle, command.c_str()) != 1) return fail(lost(handle));
    KEEL_CHECK(flush(handle, bound));
    std::vector<Rows> out;
    for (;;) {
        KEEL_TRY(auto const answer, next_answer(handle, bound));
        if (!answer) return fail(Code::corrupt, "PostgreSQL sent no stream");
        auto const status = PQresultStatus(answer.get());
        if (status == PGRES_COPY_BOTH || status == PGRES_COPY_OUT) return out;
        if (good(answer.get())) out.push_back(rows_of(answer.get()));
    }
}

Result<Streamed> Connection::receive(Bound const& bound) {
    if (!is_open()) return fail(Code::unavailable, "the connection to PostgreSQL is closed");
    auto* handle = link_->handle.get();
    for (;;) {
        char* raw = nullptr;
        int const size = PQgetCopyData(handle, &raw, 1);
        if (size > 0) {
            std::unique_ptr<char, Releaser<PQfreemem>> const owner(raw);
            return Streamed{Streamed::Kind::data, std::string(raw, static_cast<std::size_t>(size))};
        }
        if (size == -1) return Streamed{Streamed::Kind::end};
        if (size == -2) return fail(lost(handle));
        if (bound.over()) return Streamed{};
        auto const ready = wait_for(handle, POLLIN, bound, "waiting for PostgreSQL");
        if (!ready && ready.error().code == Code::timeout) return Streamed{};
        KEEL_CHECK(ready);
        if (PQconsumeInput(handle) != 1) return fail(lost(handle));
    }
}

Status Connection::give(std::string const& message, Bound const& bound) {
    if (!is_open()) return fail(Code::unavailable, "the connection to PostgreSQL is closed");
    auto* handle = link_->handle.get();
    for (;;) {
        int const taken = PQputCopyData(handle, message.data(), static_cast<int>(message.size()));
        if (taken == 1) break;
        if (taken < 0) return fail(lost(handle));
        KEEL_CHECK(wait_for(handle, POLLOUT, bound, "sending to PostgreSQL"));
    }
    return flush(handle, bound);
}

Result<std::vector<Rows>> Connection::end_stream(Bound const& bound) {
    if (!is_open()) return fail(Code::unavailable, "the connection to PostgreSQL is closed");
    auto* handle = link_->handle.get();
    std::vector<Rows> out;
    for (;;) {
        KEEL_TRY(auto const answer, next_answer(handle, bound));
        if (!answer) return out;
        // Our half of a stream in both directions ends, too.
        if (PQresultStatus(answer.get()) == PGRES_COPY_IN) {
            if (PQputCopyEnd(handle, nullptr) < 0) return fail(lost(handle));
            KEEL_CHECK(flush(handle, bound));
        } else if (PQresultStatus(answer.get()) == PGRES_TUPLES_OK) {
            out.push_back(rows_of(answer.get()));
        }
    }
}

}  // namespace keel::postgres
