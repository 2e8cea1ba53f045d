// What is worth watching of one PostgreSQL beside what the machine decides by: plain facts, looked at every ten
// seconds.
#pragma once

#include <boost/describe.hpp>
#include <cstdint>
#include <string>
#include <vector>

namespace keel::cluster {

struct SlotVitals {
    std::string name;
    std::string type;    // physical or logical
    std::string member;  // name of the member it is for; empty: somebody else's
    bool active = false;
    std::uint64_t retained_bytes = 0;  // WAL that cannot be removed because of it
};
BOOST_DESCRIBE_STRUCT(SlotVitals, (), (name, type, member, active, retained_bytes))

struct Vitals {
    std::int64_t unix_ms = 0;  // when it was looked at
    std::uint32_t connections = 0;
    std::uint32_t connections_max = 0;       // that ordinary clients may have
    std::uint64_t transaction_id_age = 0;    // of the oldest database, in transactions; at 2^31 writes would stop
    double longest_transaction_seconds = 0;  // of the clients
    std::string longest_transaction;         // pid, user and database of that one
    double oldest_prepared_seconds = 0;
    std::string oldest_prepared;  // its identifier
    std::uint32_t prepared = 0;
    std::vector<SlotVitals> slots;
    std::uint64_t disk_free_bytes = 0;  // of the file system of the WAL
    std::uint64_t disk_total_bytes = 0;
};
BOOST_DESCRIBE_STRUCT(Vitals, (),
                      (unix_ms, connections, connections_max, transaction_id_age, longest_transaction_seconds,
                       longest_transaction, oldest_prepared_seconds, oldest_prepared, prepared, slots, disk_free_bytes,
                       disk_total_bytes))

}  // namespace keel::cluster
