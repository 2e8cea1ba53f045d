#include "base/zone.h"

#include <algorithm>

namespace keel {

namespace {

constexpr std::size_t kHeader = 44;
constexpr std::uint32_t kCountMost = 10'000;

// Big-endian, in bounds by what the caller has checked.
std::uint64_t number(std::string_view bytes, std::size_t at, std::size_t size) {
    std::uint64_t out = 0;
    for (char const c : bytes.substr(at, size)) out = out << 8U | static_cast<unsigned char>(c);
    return out;
}

struct Header {
    std::uint32_t utc = 0, standard = 0, leap = 0, times = 0, types = 0, letters = 0;
    std::size_t body(std::size_t time_bytes) const {
        return times * (time_bytes + 1) + types * 6 + letters + leap * (time_bytes + 4) + standard + utc;
    }
};

Result<Header> header_of(std::string_view bytes) {
    auto const bad = fail(Code::corrupt, "this is no file of a time zone");
    if (bytes.size() < kHeader || !bytes.starts_with("TZif") || bytes[4] < '2') return bad;
    Header out;
    std::size_t at = 20;
    for (auto* field : {&out.utc, &out.standard, &out.leap, &out.times, &out.types, &out.letters}) {
        *field = static_cast<std::uint32_t>(number(bytes, at, 4));
        if (*field > kCountMost) return bad;
        at += 4;
    }
    if (out.types == 0) return bad;
    return out;
}

}  // namespace

Result<Zone> Zone::parse(std::string_view bytes, std::int64_t now_unix_s) {
    // The first block is for readers of 32 bits.
    KEEL_TRY(auto const small, header_of(bytes));
    if (bytes.size() < kHeader + small.body(4)) return fail(Code::corrupt, "the time zone's file is cut off");
    bytes.remove_prefix(kHeader + small.body(4));
    KEEL_TRY(auto const head, header_of(bytes));
    if (bytes.size() < kHeader + head.body(8)) return fail(Code::corrupt, "the time zone's file is cut off");
    auto const rule = bytes.substr(kHeader + head.body(8));
    auto const kinds = kHeader + head.times * 9;
    auto const offset = [&](std::size_t kind) {
        return static_cast<int>(static_cast<std::int32_t>(number(bytes, kinds + kind * 6, 4)));
    };
    Zone out;
    out.first_ = offset(0);
    for (std::size_t i = 0; i < head.times; ++i) {
        auto const kind = static_cast<unsigned char>(bytes[kHeader + head.times * 8 + i]);
        if (kind >= head.types) return fail(Code::corrupt, "the time zone's file contradicts itself");
        out.changes_.push_back({static_cast<std::int64_t>(number(bytes, kHeader + i * 8, 8)), offset(kind)});
    }
    if (!std::ranges::is_sorted(out.changes_, {}, &Change::from_unix_s))
        return fail(Code::corrupt, "the time zone's file contradicts itself");
    bool const ends = out.changes_.empty() || out.changes_.back().from_unix_s < now_unix_s;
    if (ends && rule.find(',') != std::string_view::npos)
        return fail(Code::invalid, "the time zone's file has no table of the coming years",
                    "install Debian's tzdata, whose files have it, or use UTC");
    return out;
}

int Zone::offset_s(std::int64_t unix_s) const {
    auto const next = std::ranges::upper_bound(changes_, unix_s, {}, &Change::from_unix_s);
    return next == changes_.begin() ? first_ : std::prev(next)->offset_s;
}

}  // namespace keel
