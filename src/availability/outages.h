// Outages of a cluster, taken from its own records: when could clients not write, for how long, and why.
//
// A reign that ended without writes being possible ends in the history with `revoke`, and the next one begins with
// `leader`; `phases` says how long it took, counted from the last word of the old leader. Where nobody was left to know
// that (all nodes were down), the last moment at which anybody saw a leader counts.
#pragma once

#include <algorithm>
#include <boost/describe.hpp>
#include <optional>
#include <string>
#include <vector>

#include "cluster/record.h"

namespace keel::availability {

// failover: nobody had asked for it. switchover: an operator had, or a node that was being stopped.
enum class Cause { failover, switchover };
BOOST_DESCRIBE_ENUM(Cause, failover, switchover)

struct Outage {
    std::int64_t from_ms = 0, until_ms = 0;
    std::uint64_t epoch = 0;  // that ended it
    Cause cause = Cause::failover;
    std::string why;     // what ended the reign before
    std::string phases;  // "detect 612 ms, fence 3 ms, ..."; empty: not known
    std::int64_t ms() const { return until_ms - from_ms; }
};
BOOST_DESCRIBE_STRUCT(Outage, (), (from_ms, until_ms, epoch, cause, why, phases))

// Reads the history as it was written, event by event.
class Outages {
  public:
    static constexpr std::size_t kMax = 5000;  // then the oldest are forgotten

    // In the order of their numbers.
    void event(cluster::HistoryEvent const& event);
    // Clients could write at this moment.
    void good(std::int64_t unix_ms);
    // What was seen later than now was seen by a clock that was ahead.
    void clock_says(std::int64_t unix_ms) { last_good_ms_ = std::min(last_good_ms_, unix_ms); }

    std::vector<Outage> const& all() const { return all_; }
    // When clients could last write, as far as it was told; 0: never.
    std::int64_t last_good_ms() const { return last_good_ms_; }
    // Of the first event; 0: none yet.
    std::int64_t since_ms() const { return since_ms_; }

  private:
    void begin_reign(cluster::HistoryEvent const& event);
    void refine(cluster::HistoryEvent const& event);

    std::vector<Outage> all_;
    std::int64_t since_ms_ = 0;
    std::uint64_t reign_ = 0;  // epoch of the last leader
    NodeId leader_;            // who wrote it
    std::int64_t last_good_ms_ = 0;
    std::int64_t revoked_ms_ = 0;  // of the reign that has ended; 0: it goes on
    std::string why_;
    bool asked_ = false;
};

// What a span of time looked like to clients. Parts of outages that lie outside do not count.
struct Account {
    std::int64_t from_ms = 0, until_ms = 0;
    double down_seconds = 0;
    double availability = 1;
    double nines = 0;
    std::uint32_t failovers = 0, switchovers = 0;
    std::optional<double> mtbf_seconds, mttr_seconds;  // none: no outage
    double longest_seconds = 0;
};
BOOST_DESCRIBE_STRUCT(Account, (),
                      (from_ms, until_ms, down_seconds, availability, nines, failovers, switchovers, mtbf_seconds,
                       mttr_seconds, longest_seconds))
Account account(std::vector<Outage> const& outages, std::int64_t from_ms, std::int64_t until_ms);

// All that one node can say of it.
struct Ledger {
    std::int64_t unix_ms = 0;                   // now
    std::int64_t since_ms = 0;                  // nothing is known of what was before
    std::optional<std::int64_t> down_since_ms;  // writes are not possible now
    Account days30, year;                       // the last 30 and 366 days, or what is known of them
    std::vector<Account> months;                // calendar months (UTC), oldest first, at most 13
    std::vector<Outage> outages;                // of the last 366 days, oldest first, the last 200
};
BOOST_DESCRIBE_STRUCT(Ledger, (), (unix_ms, since_ms, down_since_ms, days30, year, months, outages))
// An outage that goes on counts up to now.
Ledger ledger_of(Outages const& outages, std::optional<std::int64_t> down_since_ms, std::int64_t now_ms);
// `target` is a share of time, for the budget of each month.
std::string render(Ledger const& ledger, double target);

}  // namespace keel::availability
