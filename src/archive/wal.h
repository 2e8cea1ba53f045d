// WAL as bytes: is a segment what it claims to be, and which is the last whole record in it? Pure.
// Formats: access/xlog_internal.h and access/xlogrecord.h of PostgreSQL 13 to 17.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/ids.h"
#include "base/result.h"

namespace keel::archive {

struct Origin {
    std::uint64_t system_id = 0;
    std::uint64_t segment_bytes = 16U << 20U;
};

// One WAL file of the name 000000010000000000000003.
struct SegmentId {
    Timeline timeline;
    std::uint64_t number = 0;  // counted in segments from LSN 0
    auto operator<=>(SegmentId const&) const = default;
};
// Empty when it is no segment's name.
std::optional<SegmentId> parse_segment_name(std::string_view name, std::uint64_t segment_bytes);
bool is_segment_bytes(std::uint64_t bytes);  // a power of two, 1 MiB to 1 GiB

// The page headers of a segment, or of its beginning: corrupt when they are of another system, place, or a newer
// timeline.
Status check_pages(Origin const& origin, SegmentId const& id, std::string_view bytes);

struct Records {
    std::optional<Lsn> last;                     // where the last whole record with a good checksum begins
    std::optional<std::int64_t> last_commit_us;  // microseconds since 1970 of the last commit
};
// Of WAL that begins at `start`, the start of a segment, and ends anywhere.
Records scan_records(Origin const& origin, Lsn start, std::string_view bytes);

}  // namespace keel::archive
