#include "config/settings.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/describe.hpp>
#include <charconv>
#include <functional>
#include <optional>

#include "cluster/jobs.h"
#include "config/postgres_parameters.h"
#include "config/size.h"

namespace keel::config {

namespace {

using cluster::Settings;
constexpr std::string_view kFamily = "postgres.";

struct Entry {
    Setting shown;
    std::function<std::string(Settings const&)> get;
    std::function<Status(Settings&, std::string_view)> set;
};

template <class Enum>
Entry choice(Setting shown, Enum Settings::* field) {
    return {std::move(shown),
            [field](Settings const& in) { return std::string(boost::describe::enum_to_string(in.*field, "?")); },
            [field](Settings& in, std::string_view value) -> Status {
                if (boost::describe::enum_from_string(std::string(value).c_str(), in.*field)) return {};
                return fail(Code::invalid, fmt::format("\"{}\" is none of its values", value));
            }};
}

template <class Number>
Entry number(Setting shown, Number Settings::* field, Number least, Number most) {
    shown.type = fmt::format("{} {}..{}", shown.type, least, most);
    return {std::move(shown), [field](Settings const& in) { return std::to_string(in.*field); },
            [=](Settings& in, std::string_view value) -> Status {
                Number read{};
                auto const [end, error] = std::from_chars(value.data(), value.data() + value.size(), read);
                if (error != std::errc{} || end != value.data() + value.size())
                    return fail(Code::invalid, fmt::format("\"{}\" is not a whole number", value));
                if (read < least || read > most)
                    return fail(Code::invalid, fmt::format("{} is not within {}..{}", value, least, most));
                in.*field = read;
                return {};
            }};
}

Entry size(Setting shown, std::uint64_t Settings::* field) {
    return {std::move(shown), [field](Settings const& in) { return size_text(in.*field); },
            [field](Settings& in, std::string_view value) -> Status {
                auto const bytes = parse_size(value);
                if (!bytes) return fail(Code::invalid, fmt::format("\"{}\" is not a size such as 16MB", value));
                in.*field = *bytes;
                return {};
            }};
}

Entry schedule(Setting shown, std::string Settings::* field, cluster::JobKind kind) {
    return {std::move(shown), [field](Settings const& in) { return in.*field; },
            [=](Settings& in, std::string_view value) -> Status {
                KEEL_CHECK(cluster::check_schedule(kind, value));
                in.*field = value;
                return {};
            }};
}

// Whether there is such a zone, only a machine can say.
Entry time_zone(Setting shown, std::string Settings::* field) {
    return {std::move(shown), [field](Settings const& in) { return in.*field; },
            [=](Settings& in, std::string_view value) -> Status {
                bool const fits = !value.empty() && value.size() <= 64 && value.front() != '/' &&
                                  value.find("..") == std::string_view::npos && std::ranges::all_of(value, [](char c) {
                                      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                                             (c >= '0' && c <= '9') || c == '/' || c == '_' || c == '-' || c == '+';
                                  });
                if (!fits) return fail(Code::invalid, fmt::format("\"{}\" is no name of a time zone", value));
                in.*field = value;
                return {};
            }};
}

Entry names(Setting shown, std::string Settings::* field) {
    return {std::move(shown), [field](Settings const& in) { return in.*field; },
            [=](Settings& in, std::string_view value) -> Status {
                if (value.size() > 2000 || std::ranges::any_of(value, [](char c) { return c == '\n' || c == '\0'; }))
                    return fail(Code::invalid, "these are no names");
                in.*field = value;
                return {};
            }};
}

std::vector<Entry> backup_entries() {
    constexpr char const* kTimes = "five fields of cron (minute hour day month weekday), or off";
    return {
        schedule({"backup_full", kTimes, "When a full backup is taken, by a standby where one is healthy.", "0 1 * * *",
                  Scope::live},
                 &Settings::backup_full, cluster::JobKind::full),
        schedule(
            {"backup_incremental", kTimes, "When an incremental backup is taken, once there is a full one to build on.",
             "30 * * * *", Scope::live},
            &Settings::backup_incremental, cluster::JobKind::incremental),
        schedule({"backup_expire", "after full, five fields of cron (minute hour day month weekday), or off",
                  "When backups are removed that backup_keep_full and backup_keep_days do not keep.", "after full",
                  Scope::live},
                 &Settings::backup_expire, cluster::JobKind::expire),
        schedule({"backup_prove", kTimes,
                  "When the newest backup is restored to a scratch directory, to prove that it can be.", "0 4 * * 0",
                  Scope::live},
                 &Settings::backup_prove, cluster::JobKind::prove),
        schedule({"backup_copy", kTimes, "When what the repository has is copied into the others that node.toml names.",
                  "*/5 * * * *", Scope::live},
                 &Settings::backup_copy, cluster::JobKind::copy),
        schedule({"backup_dump", kTimes, "When databases are dumped, for pg_restore.", "off", Scope::live},
                 &Settings::backup_dump, cluster::JobKind::dump),
        names({"backup_dump_databases", "names by commas, or nothing", "Which databases are dumped; none named: all.",
               "", Scope::live},
              &Settings::backup_dump_databases),
        number<std::uint32_t>({"backup_keep_dump_days", "days",
                               "Older dumps expire, but never the newest of a database.", "30", Scope::live},
                              &Settings::backup_keep_dump_days, 1, 100000),
        time_zone({"backup_time_zone", "name of a time zone, such as UTC or Europe/Berlin",
                   "What the times of backups are told in.", "UTC", Scope::live},
                  &Settings::backup_time_zone),
        number<std::uint32_t>(
            {"backup_keep_full", "whole number", "So many of the newest backups stay.", "7", Scope::live},
            &Settings::backup_keep_full, 1, 100000),
        number<std::uint32_t>({"backup_keep_days", "days", "Every moment of so many days can be restored. 0: no rule.",
                               "14", Scope::live},
                              &Settings::backup_keep_days, 0, 100000),
    };
}

std::vector<Entry> standard_entries() {
    return {
        choice(
            {"mode", "one of async, quorum, strict",
             "What an acknowledged commit survives. async: nothing is promised for the last moments. quorum: the loss "
             "of any `quorum` nodes; without a standby the leader goes on alone. strict: the same, and writes wait "
             "rather than degrade.",
             "quorum", Scope::live},
            &Settings::mode),
        number<std::uint32_t>(
            {"quorum", "whole number", "How many standbys must have a commit on disk before it is acknowledged.", "1",
             Scope::live},
            &Settings::quorum, 1, 16),
        choice({"profile", "one of lan, standard, wan",
                "Lease and heartbeat: lan 1.5 s and 150 ms, standard 2.5 s and 250 ms, wan 8 s and 800 ms. Larger ones "
                "bear a worse network and make a failover slower.",
                "lan", Scope::live},
               &Settings::profile),
        size({"failover_lag_bytes_max", "size",
              "async mode: a standby that lacks more WAL than this is not promoted by itself.", "16MB", Scope::live},
             &Settings::failover_lag_bytes_max),
        number<int>({"spare_grace_s", "seconds", "A lost member's place is given to a spare after this time.", "60",
                     Scope::live},
                    &Settings::spare_grace_s, 1, 86400),
        number<int>({"promote_timeout_ms", "milliseconds",
                     "A promotion that takes longer is given up and the next candidate is tried.", "5000", Scope::live},
                    &Settings::promote_timeout_ms, 500, 600000),
        number<int>({"evict_after_ms", "milliseconds",
                     "A synchronous standby that makes no progress for this time no longer holds up commits.", "2000",
                     Scope::live},
                    &Settings::evict_after_ms, 300, 600000),
        number<int>(
            {"disk_stall_ms", "milliseconds",
             "A write to the disk of the WAL that takes longer counts as a disk that hangs: a primary hands over "
             "to a standby with a sound disk, a standby leaves the sync set.",
             "2000", Scope::live},
            &Settings::disk_stall_ms, 500, 600000),
        size({"disk_ballast", "size",
              "Room that each data node sets aside on the disk of its WAL, and gives back at 95 %, so that a full disk "
              "can be dealt with. 0: none.",
              "64MB", Scope::live},
             &Settings::disk_ballast),
    };
}

std::vector<Entry> const& entries() {
    static std::vector<Entry> const all = [] {
        auto out = standard_entries();
        for (auto& one : backup_entries()) out.push_back(std::move(one));
        return out;
    }();
    return all;
}

Entry const* find_entry(std::string_view name) {
    auto const found = std::ranges::find_if(entries(), [&](Entry const& e) { return e.shown.name == name; });
    return found == entries().end() ? nullptr : &*found;
}

std::optional<std::string> parameter_of(std::string_view name) {
    if (!name.starts_with(kFamily)) return std::nullopt;
    return std::string(name.substr(kFamily.size()));
}

std::unexpected<Error> unknown(std::string_view name) {
    std::vector<std::string> names;
    for (auto const& entry : entries()) names.push_back(entry.shown.name);
    std::string mend = fmt::format("the settings are {}, and postgres.<parameter>", fmt::join(names, ", "));
    if (needs_restart(name) || name.find('_') != std::string_view::npos)
        mend += fmt::format("; a parameter of PostgreSQL is written postgres.{}", name);
    return fail(Code::not_found, fmt::format("there is no setting \"{}\"{}", name, did_you_mean(name, names)), mend);
}

Result<Change> set_parameter(Settings& in, std::string const& parameter, std::string_view value) {
    if (auto status = check_parameter(parameter, value); !status) return fail(std::move(status).error());
    auto const found = in.postgres.find(parameter);
    Change change{std::string(kFamily) + parameter, found == in.postgres.end() ? "" : found->second, std::string(value),
                  needs_restart(parameter) ? Scope::restart : Scope::reload};
    if (value.empty())
        in.postgres.erase(parameter);
    else
        in.postgres[parameter] = value;
    return change;
}

std::string_view trim(std::string_view text) {
    auto const from = text.find_first_not_of(" \t\r");
    if (from == std::string_view::npos) return {};
    return text.substr(from, text.find_last_not_of(" \t\r") - from + 1);
}

// 'quoted' or "quoted" or bare.
std::string unquote(std::string_view text) {
    bool const quoted =
        text.size() >= 2 && (text.front() == '\'' || text.front() == '"') && text.back() == text.front();
    return std::string(quoted ? text.substr(1, text.size() - 2) : text);
}

}  // namespace

std::vector<Setting> const& settings() {
    static std::vector<Setting> const all = [] {
        std::vector<Setting> out;
        for (auto const& entry : entries()) out.push_back(entry.shown);
        return out;
    }();
    return all;
}

Result<Setting> find_setting(std::string_view name) {
    if (Entry const* entry = find_entry(name)) return entry->shown;
    if (auto const parameter = parameter_of(name)) {
        if (auto status = check_parameter(*parameter, ""); !status) return fail(std::move(status).error());
        return Setting{std::string(name), "as PostgreSQL wants it",
                       "A parameter of PostgreSQL on every node; node.toml may override it on one.", "PostgreSQL's own",
                       needs_restart(*parameter) ? Scope::restart : Scope::reload};
    }
    return unknown(name);
}

Result<std::string> get_setting(Settings const& from, std::string_view name) {
    if (Entry const* entry = find_entry(name)) return entry->get(from);
    auto const parameter = parameter_of(name);
    if (!parameter) return unknown(name);
    auto const found = from.postgres.find(*parameter);
    if (found == from.postgres.end())
        return fail(Code::not_found, fmt::format("{} is not set for the cluster", name),
                    fmt::format("`psql -c 'SHOW {}'` says what the server uses", *parameter));
    return found->second;
}

Result<Change> set_setting(Settings& in, std::string_view name, std::string_view value) {
    if (auto const parameter = parameter_of(name)) return set_parameter(in, *parameter, value);
    Entry const* entry = find_entry(name);
    if (entry == nullptr) return unknown(name);
    Change change{entry->shown.name, entry->get(in), {}, entry->shown.scope};
    if (auto status = entry->set(in, value); !status) {
        Error error = std::move(status.error()).in(entry->shown.name);
        error.mend = fmt::format("{} takes {}", entry->shown.name, entry->shown.type);
        return fail(std::move(error));
    }
    change.after = entry->get(in);
    return change;
}

std::string to_string(std::vector<Change> const& changes) {
    std::string out;
    for (auto const& change : changes) {
        out += fmt::format("{}{}: {} -> {}", out.empty() ? "" : ", ", change.name,
                           change.before.empty() ? "default" : change.before,
                           change.after.empty() ? "default" : change.after);
    }
    return out;
}

std::string advice(std::vector<Change> const& changes) {
    std::string names;
    for (auto const& change : changes) {
        if (change.scope == Scope::restart) names += (names.empty() ? "" : ", ") + change.name;
    }
    return names.empty() ? "" : names + " needs a restart: pgkeel restart";
}

std::string render_settings(Settings const& from) {
    std::string out =
        "# Settings of the whole cluster, for `pgkeel config edit`. A line that is taken away means the default.\n";
    for (auto const& entry : entries()) {
        out += fmt::format("\n# {}\n# {}; default {}\n{} = {}\n", entry.shown.doc, entry.shown.type,
                           entry.shown.standard, entry.shown.name, entry.get(from));
    }
    out += "\n# Parameters of PostgreSQL on every node: postgres.<parameter> = value\n";
    for (auto const& [name, value] : from.postgres) out += fmt::format("{}{} = '{}'\n", kFamily, name, value);
    return out;
}

Edited parse_settings(std::string_view text, Settings const& before, std::string const& file) {
    Edited out;
    int line_number = 0;
    std::map<std::string, int> seen;
    while (!text.empty()) {
        ++line_number;
        auto const end = std::min(text.find('\n'), text.size());
        std::string_view const line = trim(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
        if (line.empty() || line.front() == '#') continue;
        auto const equals = line.find('=');
        if (equals == std::string_view::npos) {
            out.problems.push_back({file, line_number, fmt::format("\"{}\" is not \"name = value\"", line),
                                    "write the setting's name, '=', and its value"});
            continue;
        }
        std::string const name(trim(line.substr(0, equals)));
        if (auto const [first, fresh] = seen.emplace(name, line_number); !fresh) {
            out.problems.push_back({file, line_number, fmt::format("{} stands in line {} too", name, first->second),
                                    "keep one of the two lines"});
            continue;
        }
        auto const change = set_setting(out.settings, name, unquote(trim(line.substr(equals + 1))));
        if (!change) out.problems.push_back({file, line_number, change.error().text, change.error().mend});
    }
    auto const compare = [&](std::string const& name, std::string const& old, std::string const& now, Scope scope) {
        if (old != now) out.changes.push_back({name, old, now, scope});
    };
    for (auto const& entry : entries())
        compare(entry.shown.name, entry.get(before), entry.get(out.settings), entry.shown.scope);
    auto all = before.postgres;
    all.insert(out.settings.postgres.begin(), out.settings.postgres.end());
    for (auto const& [name, unused] : all) {
        auto const value = [&](Settings const& in) { return in.postgres.contains(name) ? in.postgres.at(name) : ""; };
        compare(std::string(kFamily) + name, value(before), value(out.settings),
                needs_restart(name) ? Scope::restart : Scope::reload);
    }
    return out;
}

}  // namespace keel::config
