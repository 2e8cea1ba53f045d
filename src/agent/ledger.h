// What happened, kept on this node for a year: every event of the record's history, which itself keeps only the last
// hundred, and rows of figures: each five minutes, and when writes become possible or stop being so. Every node keeps
// it; what one missed while it was down, or from before it was there, it asks of the others.
#pragma once

#include <deque>
#include <map>
#include <optional>

#include "agent/driver.h"
#include "availability/outages.h"
#include "availability/row.h"
#include "cluster/vitals.h"
#include "peer/channel.h"
#include "runtime/blocking.h"
#include "runtime/journal.h"

namespace keel::agent {

class Desk;

class Ledger {
  public:
    struct Parts {
        Desk* desk = nullptr;
        Driver const* driver = nullptr;
        peer::Channel* channel = nullptr;
    };
    explicit Ledger(Parts parts);
    Ledger(Ledger const&) = delete;
    Ledger& operator=(Ledger const&) = delete;

    // Until cancelled.
    runtime::Task<void> run();
    // The call of a peer, kLedgerCall: the next events of a stretch that it lacks.
    runtime::Task<Result<std::string>> answer(std::string argument);

    // Of more than `most` the last; in the order of their numbers.
    runtime::Task<Result<std::vector<cluster::HistoryEvent>>> events(std::int64_t from_ms, std::int64_t until_ms,
                                                                     std::size_t most);
    runtime::Task<Result<std::vector<availability::Row>>> rows(std::int64_t from_ms, std::int64_t until_ms,
                                                               std::size_t most);
    // Reads no file: for the metrics too.
    availability::Ledger account() const;

  private:
    // Events after `after` and below `below`.
    struct Gap {
        std::uint64_t after = 0, below = 0;
    };
    using Events = std::vector<cluster::HistoryEvent>;
    using Numbered = std::map<std::uint64_t, cluster::HistoryEvent>;
    struct Book {
        std::optional<runtime::Journal> events, rows;
        availability::Outages outages;
        std::uint64_t last = 0;  // highest number that is in it
        std::deque<Gap> gaps;
    };

    Book open() const;
    runtime::Task<void> load();
    runtime::Task<void> keep_events();
    runtime::Task<void> keep_row();
    runtime::Task<bool> write(Events events);
    runtime::Task<Result<Numbered>> read_events(std::int64_t from_ms, std::int64_t until_ms);
    runtime::Task<void> fill_gaps();
    runtime::Task<bool> fill(Gap& gap);
    void watch_writes();
    bool writes_possible() const;

    Parts parts_;
    std::string directory_;
    Book book_;
    std::optional<std::int64_t> down_since_ms_;
    std::int64_t last_good_ms_ = 0;
    std::uint32_t bad_looks_ = 0;  // one after the other
    Instant row_due_, fill_due_;
    bool row_writes_ = false;  // as the last row says
    std::string problem_;      // of the files, said once
    runtime::Worker disk_;
};

inline constexpr char const* kLedgerCall = "ledger.events";

}  // namespace keel::agent
