// What the two sources that name libpq share: a connection's innards.
#pragma once

#include <libpq-fe.h>

#include <memory>
#include <string>
#include <vector>

#include "postgres/libpq.h"

namespace keel::postgres {

template <auto Free>
struct Releaser {
    void operator()(auto* object) const noexcept { Free(object); }
};
using Handle = std::unique_ptr<PGconn, Releaser<PQfinish>>;
using Answer = std::unique_ptr<PGresult, Releaser<PQclear>>;

struct Connection::Link {
    std::vector<std::string> notices;
    Handle handle;
    bool walsender = false;  // takes whole statements only, without parameters
};

std::string trimmed(char const* text);
Status wait_for(PGconn* handle, short events, Bound const& bound, std::string const& doing);
Code code_of(PGresult const* answer);
bool good(PGresult const* answer);
Rows rows_of(PGresult const* answer);

}  // namespace keel::postgres
