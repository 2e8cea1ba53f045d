#include "archive/wal.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cstring>

namespace keel::archive {

namespace {

constexpr std::size_t kPage = 8192;
constexpr std::size_t kShortHeader = 24, kLongHeader = 40;
constexpr unsigned kContinued = 1, kLong = 2;
constexpr std::size_t kRecordHeader = 24, kCrcAt = 20;
constexpr std::uint32_t kRecordMost = 1U << 30U;
constexpr std::int64_t kPostgresEpochUs = 946'684'800'000'000;  // 2000-01-01

template <class T>
T number_at(std::string_view bytes, std::size_t at) {
    T out{};
    std::memcpy(&out, bytes.data() + at, sizeof out);  // WAL is in the machine's byte order
    return out;
}

// CRC-32C (Castagnoli), RFC 3720 appendix B.4.
std::uint32_t crc32c(std::uint32_t crc, std::string_view bytes) {
    static auto const table = [] {
        std::array<std::uint32_t, 256> out{};
        for (std::uint32_t i = 0; i < 256; ++i) {
            std::uint32_t one = i;
            for (int bit = 0; bit < 8; ++bit) one = (one >> 1U) ^ ((one & 1U) != 0 ? 0x82F63B78U : 0U);
            out[i] = one;
        }
        return out;
    }();
    for (char const c : bytes) crc = table[(crc ^ static_cast<unsigned char>(c)) & 0xFFU] ^ (crc >> 8U);
    return crc;
}

bool is_whole(std::string_view record) {
    auto const crc = crc32c(crc32c(~0U, record.substr(kRecordHeader)), record.substr(0, kCrcAt));
    return ~crc == number_at<std::uint32_t>(record, kCrcAt);
}

// xl_xact_commit begins with the time. Commits have no blocks, only the headers of origin and top-level xid before
// their main data.
std::optional<std::int64_t> commit_time(std::string_view record) {
    auto const operation = static_cast<unsigned char>(record[16]) & 0x70U;
    if (record[17] != 1 || (operation != 0x00 && operation != 0x30)) return std::nullopt;
    std::size_t at = kRecordHeader;
    while (at < record.size()) {
        auto const id = static_cast<unsigned char>(record[at]);
        if (id == 252)
            at += 5;
        else if (id == 253)
            at += 3;
        else if (id == 254 || id == 255) {
            at += id == 255 ? 2 : 5;
            if (at + 8 > record.size()) return std::nullopt;
            return number_at<std::int64_t>(record, at) + kPostgresEpochUs;
        } else
            return std::nullopt;
    }
    return std::nullopt;
}

// Walks over the pages, which split records wherever they end.
class Walk {
  public:
    Walk(std::string_view bytes, std::size_t at) : bytes_(bytes), at_(at) {}
    std::size_t at() const { return at_; }
    void jump(std::size_t to) { at_ = to; }

    // To the next record: aligned, and behind a page's header with the rest of a record that is not ours. False at the
    // end of the bytes.
    bool settle() {
        at_ = (at_ + 7) & ~std::size_t{7};
        if (at_ % kPage != 0) return at_ + 4 <= bytes_.size();
        if (at_ + kShortHeader > bytes_.size()) return false;
        bool const continued = (flags() & kContinued) != 0;
        std::size_t const rest = continued ? number_at<std::uint32_t>(bytes_, at_ + 16) : 0;
        if (rest > kRecordMost) return false;
        std::string ignored;
        at_ += header();
        if (rest > 0 && !gather(rest, ignored)) return false;
        at_ = (at_ + 7) & ~std::size_t{7};
        return at_ % kPage == 0 ? settle() : at_ + 4 <= bytes_.size();
    }

    // `size` bytes of one record. False when they end early, or when the record was given up (a crash in the middle of
    // it): then at() is the page that begins anew.
    bool gather(std::size_t size, std::string& out) {
        broken_off_ = false;
        while (out.size() < size) {
            if (at_ % kPage == 0) {
                if (at_ + kShortHeader > bytes_.size()) return false;
                broken_off_ = (flags() & kContinued) == 0;
                if (broken_off_) return false;
                at_ += header();
            }
            if (at_ >= bytes_.size()) return false;
            auto const part = std::min({size - out.size(), kPage - at_ % kPage, bytes_.size() - at_});
            out.append(bytes_.substr(at_, part));
            at_ += part;
        }
        return true;
    }
    bool broken_off() const { return broken_off_; }

  private:
    unsigned flags() const { return number_at<std::uint16_t>(bytes_, at_ + 2); }
    std::size_t header() const { return (flags() & kLong) != 0 ? kLongHeader : kShortHeader; }

    std::string_view bytes_;
    std::size_t at_;
    bool broken_off_ = false;
};

}  // namespace

bool is_segment_bytes(std::uint64_t bytes) {
    return std::has_single_bit(bytes) && bytes >= (1U << 20U) && bytes <= (1U << 30U);
}

std::optional<SegmentId> parse_segment_name(std::string_view name, std::uint64_t segment_bytes) {
    if (name.size() != 24 || !is_segment_bytes(segment_bytes)) return std::nullopt;
    std::array<std::uint32_t, 3> parts{};
    for (std::size_t i = 0; i < 3; ++i) {
        char const* from = name.data() + i * 8;
        auto const [end, error] = std::from_chars(from, from + 8, parts[i], 16);
        if (error != std::errc{} || end != from + 8) return std::nullopt;
    }
    std::uint64_t const per_file = (std::uint64_t{1} << 32U) / segment_bytes;
    if (parts[2] >= per_file || parts[0] == 0) return std::nullopt;
    return SegmentId{Timeline{parts[0]}, parts[1] * per_file + parts[2]};
}

Status check_pages(Origin const& origin, SegmentId const& id, std::string_view bytes) {
    auto const bad = [&](std::size_t at, char const* what) {
        return fail(Code::corrupt,
                    fmt::format("the WAL page at {} of timeline {} {}",
                                to_string(Lsn{id.number * origin.segment_bytes + at}), id.timeline.value, what));
    };
    for (std::size_t at = 0; at + kLongHeader <= bytes.size(); at += kPage) {
        auto const page = bytes.substr(at);
        if (number_at<std::uint16_t>(page, 0) == 0 && at > 0) continue;  // behind a switch of segments
        if (number_at<std::uint64_t>(page, 8) != id.number * origin.segment_bytes + at)
            return bad(at, "is of another place");
        if (number_at<std::uint32_t>(page, 4) > id.timeline.value) return bad(at, "is of a newer timeline");
        if (at > 0) continue;
        if ((number_at<std::uint16_t>(page, 2) & kLong) == 0) return bad(at, "has no segment header");
        if (number_at<std::uint64_t>(page, 24) != origin.system_id) return bad(at, "is of another database cluster");
        if (number_at<std::uint32_t>(page, 32) != origin.segment_bytes) return bad(at, "is of another segment size");
    }
    return {};
}

Records scan_records(Origin const& origin, Lsn start, std::string_view bytes) {
    Records out;
    Walk walk(bytes, 0);
    while (walk.settle()) {
        auto const from = walk.at();
        auto const size = number_at<std::uint32_t>(bytes, from);
        if (size == 0) {  // the rest of a segment behind a switch
            walk.jump((from / origin.segment_bytes + 1) * origin.segment_bytes);
            continue;
        }
        if (size < kRecordHeader || size > kRecordMost) break;
        std::string record;
        if (!walk.gather(size, record)) {
            if (walk.broken_off()) continue;
            break;
        }
        if (!is_whole(record)) break;
        out.last = Lsn{start.value + from};
        if (auto const time = commit_time(record)) out.last_commit_us = time;
    }
    return out;
}

}  // namespace keel::archive
