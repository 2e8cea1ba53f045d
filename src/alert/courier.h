// When a channel is given its next parcel: rate limits, back-off after failures, what the far side asked for. Pure.
#pragma once

#include <deque>

#include "alert/message.h"

namespace keel::alert {

// What a speaker remembers of one channel; begins anew with each speaker.
struct Courier {
    int failures = 0;  // in a row
    int refusals = 0;  // of the parcel that is next
    std::int64_t not_before_ms = 0;
    std::deque<std::int64_t> sent_ms;  // attempts of the last minute
    std::string problem;               // why the last one failed; empty: it did not
    std::int64_t problem_since_ms = 0;
    std::int64_t refreshed_ms = 0;  // Alertmanager: when it was told what is in force
    std::uint64_t delivered = 0;    // parcels
    std::uint64_t failed = 0;       // attempts
};

// What is to be sent now; nothing when nothing waits, or it may not be sent yet. Alertmanager also gets an empty one
// when it must be reminded of what is in force.
std::optional<Parcel> next_parcel(Book const& book, Channel const& channel, Courier& courier, std::int64_t now_ms);

// Takes note of what came of it. True when the book has changed: the notices are done with, delivered or given up.
bool settle(Book& book, Channel const& channel, Courier& courier, Parcel const& parcel, Verdict const& verdict,
            std::int64_t now_ms);

}  // namespace keel::alert
