// A log on disk that only grows at its end, of bounded age and size: segments of lines, each with a checksum. What a
// crash left half written is cut off; the oldest segment goes when there is no room. All calls block.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace keel::runtime {

struct JournalLimits {
    std::size_t segment_bytes = 1U << 20U;
    std::size_t total_bytes = 24U << 20U;
    std::int64_t keep_ms = 366LL * 86'400'000;
};

struct JournalLine {
    std::int64_t unix_ms = 0;
    std::string text;  // without a newline
};

// One process at a time.
class Journal {
  public:
    // Segments are <directory>/<name>.<number>.log, the number being the time at which the segment was begun.
    static Result<Journal> open(std::string directory, std::string name, JournalLimits limits);

    // Durable when it returns; after an error nothing of it is there. The lines' own times need not be in order.
    Status append(std::vector<JournalLine> const& lines, std::int64_t now_unix_ms);
    // Lines of the span, both ends included, in the order of their writing; of more than `lines_max` the last. A line
    // whose checksum is wrong is left out.
    Result<std::vector<JournalLine>> read(std::int64_t from_ms, std::int64_t until_ms, std::size_t lines_max) const;
    // Cut off when it was opened.
    std::size_t bytes_cut() const { return bytes_cut_; }

  private:
    struct Segment {
        std::int64_t begun_ms = 0;
        std::size_t bytes = 0;
    };
    Journal(std::string directory, std::string name, JournalLimits limits)
        : directory_(std::move(directory)), name_(std::move(name)), limits_(limits) {}
    std::string path(Segment const& segment) const;
    Status find_segments();
    Status cut_torn_tail();
    Status begin_segment(std::int64_t now_unix_ms);
    Status prune(std::int64_t now_unix_ms);

    std::string directory_, name_;
    JournalLimits limits_;
    std::vector<Segment> segments_;  // oldest first
    std::size_t bytes_cut_ = 0;
};

}  // namespace keel::runtime
