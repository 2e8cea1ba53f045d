#include "postgres/control_data.h"

#include <charconv>

#include "postgres/job.h"

namespace keel::postgres {

namespace {

std::map<std::string, std::string> fields_of(std::string_view text) {
    std::map<std::string, std::string> out;
    while (!text.empty()) {
        auto const end = std::min(text.find('\n'), text.size());
        auto const line = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
        auto const colon = line.find(':');
        if (colon == std::string_view::npos) continue;
        auto value = line.substr(colon + 1);
        while (!value.empty() && value.front() == ' ') value.remove_prefix(1);
        out.emplace(line.substr(0, colon), value);
    }
    return out;
}

template <class T>
bool number(std::string const& text, T& out) {
    auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
    return error == std::errc{} && end == text.data() + text.size();
}

}  // namespace

Result<ControlData> parse_control_data(std::string_view text) {
    auto fields = fields_of(text);
    ControlData out;
    std::string missing;
    auto take = [&](char const* name) -> std::string const& {
        auto const [at, inserted] = fields.try_emplace(name);
        if (inserted && missing.empty()) missing = name;
        return at->second;
    };
    auto take_lsn = [&](char const* name, Lsn& lsn) {
        if (auto const parsed = parse_lsn(take(name)))
            lsn = *parsed;
        else if (missing.empty())
            missing = name;
    };
    auto take_number = [&](char const* name, auto& value) {
        if (!number(take(name), value) && missing.empty()) missing = name;
    };
    out.system_id = take("Database system identifier");
    out.state = take("Database cluster state");
    take_lsn("Latest checkpoint location", out.checkpoint);
    take_lsn("Latest checkpoint's REDO location", out.redo);
    take_number("Latest checkpoint's TimeLineID", out.checkpoint_timeline.value);
    take_lsn("Minimum recovery ending location", out.min_recovery_end);
    take_number("Min recovery ending loc's timeline", out.min_recovery_timeline.value);
    take_number("Bytes per WAL segment", out.segment_bytes);
    std::uint32_t checksums = 0;
    take_number("Data page checksum version", checksums);
    out.checksums = checksums != 0;
    if (!missing.empty()) return fail(Code::corrupt, "pg_controldata does not show \"" + missing + "\"");
    return out;
}

Result<ControlData> read_control_data(Place const& place, Bound const& bound) {
    KEEL_TRY(auto const text, run_job({.argv = {place.binary("pg_controldata"), "-D", place.data()}}, bound));
    return parse_control_data(text);
}

}  // namespace keel::postgres
