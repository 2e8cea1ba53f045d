// Work that an operator asked of this member through the record: restart or reinit of its PostgreSQL.
#pragma once

#include "agent/desk.h"
#include "runtime/asio.h"

namespace keel::agent {

// Looks for this node's errand whenever the record may have changed, does it, and takes it off the record. The machine
// brings the stopped server up again by itself.
runtime::Task<void> do_errands(Desk& desk, Driver& driver, Supervisor& supervisor, postgres::Place const& place);

// Writes the phases of a change of leader that this node has won into the record's history.
runtime::Task<void> record_phases(Desk& desk, Driver& driver);

// On a standby: the slots that it keeps for the others follow them.
runtime::Task<void> move_slots(Driver const& driver, Supervisor& supervisor);

}  // namespace keel::agent
