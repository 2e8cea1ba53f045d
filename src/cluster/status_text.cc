// The status as text for terminals.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>

#include "cluster/status.h"

namespace keel::cluster {

namespace {

constexpr char const* kBold = "\x1b[1m";
constexpr char const* kGreen = "\x1b[32m";
constexpr char const* kYellow = "\x1b[33m";
constexpr char const* kRed = "\x1b[31m";
constexpr char const* kPlain = "\x1b[0m";

std::string paint(std::string const& text, char const* colour, Style style) {
    return style.colour ? colour + text + kPlain : text;
}

// Text of others (names, problems, server messages) must not steer the terminal.
std::string harmless(std::string_view text) {
    std::string out;
    for (char const c : text) out += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? ' ' : c;
    return out;
}

std::string lag_text(MemberStatus const& member) {
    if (member.kind == Kind::witness || member.role == "leader") return "";
    if (!member.known || !member.lag_bytes) return "?";
    if (*member.lag_bytes == 0 && !member.lag_seconds) return "caught up";
    std::string out = bytes_text(*member.lag_bytes);
    if (member.lag_seconds) out += fmt::format(", {:.1f} s", *member.lag_seconds);
    return out;
}

std::string remarks(MemberStatus const& member) {
    std::vector<std::string> out;
    if (!member.problem.empty()) out.push_back(member.problem);
    if (!member.errand.empty()) out.push_back(member.errand + " asked for");
    if (member.leaving) out.emplace_back("leaving");
    Tags const& tags = member.tags;
    if (tags.nofailover) out.emplace_back("nofailover");
    if (tags.nosync) out.emplace_back("nosync");
    if (tags.noloadbalance) out.emplace_back("noloadbalance");
    if (tags.analytics) out.emplace_back("analytics");
    if (tags.delayed_s > 0) out.push_back(fmt::format("delayed {} s", tags.delayed_s));
    if (tags.priority != 0) out.push_back(fmt::format("priority {}", tags.priority));
    if (!tags.domain.empty()) out.push_back("domain " + tags.domain);
    return harmless(fmt::format("{}", fmt::join(out, ", ")));
}

using Row = std::vector<std::string>;

std::string table(std::vector<Row> const& rows) {
    std::vector<std::size_t> widths;
    for (auto const& row : rows) {
        widths.resize(std::max(widths.size(), row.size()));
        for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
    }
    std::string out;
    for (auto const& row : rows) {
        std::string line = " ";
        for (std::size_t i = 0; i < row.size(); ++i) line += fmt::format(" {:<{}} ", row[i], widths[i]);
        line.erase(line.find_last_not_of(' ') + 1);
        out += line + '\n';
    }
    return out;
}

std::string member_table(ClusterStatus const& status, Style style) {
    std::vector<Row> rows = {{"member", "role", "state", "tl", "lag", "address", ""}};
    for (auto const& member : status.members) {
        std::string const state = member.known ? boost::describe::enum_to_string(member.state, "?") : "?";
        std::string const tl = member.timeline.value == 0 ? "" : std::to_string(member.timeline.value);
        rows.push_back({harmless(member.name), member.role, state, tl, lag_text(member),
                        harmless(member.postgres.empty() ? member.peer : member.postgres), remarks(member)});
    }
    std::string const plain = table(rows);
    if (!style.colour) return plain;
    std::string out;
    std::size_t line = 0;
    for (std::size_t from = 0; from < plain.size(); ++line) {
        std::size_t const end = plain.find('\n', from);
        std::string const text = plain.substr(from, end - from);
        bool const sound = line == 0 || status.members[line - 1].healthy;
        out += paint(text, line == 0 ? kBold : sound ? kGreen : kYellow, style) + '\n';
        from = end + 1;
    }
    return out;
}

std::string sync_text(ClusterStatus const& status) {
    std::string const mode = boost::describe::enum_to_string(status.mode, "?");
    if (status.mode == Mode::async) return mode + ": commits wait for nobody";
    std::vector<std::string> standbys;
    for (auto const& name : status.sync_names) {
        if (name != status.leader) standbys.push_back(name);
    }
    if (standbys.empty()) return mode + ": no standby is in the set now, the leader is alone";
    return fmt::format("{}: commits wait for any {} of {}", mode, status.sync.quorum, fmt::join(standbys, ", "));
}

}  // namespace

std::string utc_text(std::int64_t unix_ms) {
    auto const point = std::chrono::sys_time<std::chrono::milliseconds>(std::chrono::milliseconds(unix_ms));
    auto const day = std::chrono::floor<std::chrono::days>(point);
    std::chrono::year_month_day const date(day);
    std::chrono::hh_mm_ss const time(point - day);
    return fmt::format("{:04}-{:02}-{:02} {:02}:{:02}:{:02}.{:03}Z", static_cast<int>(date.year()),
                       static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()), time.hours().count(),
                       time.minutes().count(), time.seconds().count(), time.subseconds().count());
}

std::string bytes_text(std::uint64_t bytes) {
    constexpr std::array<char const*, 5> kUnits = {"B", "kB", "MB", "GB", "TB"};
    auto value = static_cast<double>(bytes);
    std::size_t unit = 0;
    while (value >= 1024 && unit + 1 < kUnits.size()) {
        value /= 1024;
        ++unit;
    }
    return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", value, kUnits[unit]);
}

std::string render_status(ClusterStatus const& status, Style style) {
    char const* const colour = status.health == "ok" ? kGreen : status.health == "degraded" ? kYellow : kRed;
    std::string out = paint(harmless(status.verdict), colour, style) + "\n";
    auto const line = [&](char const* name, std::string const& text) {
        if (!text.empty()) out += fmt::format("  {:<10} {}\n", name, harmless(text));
    };
    if (status.cluster_id.empty()) {
        line("node", status.told_by);
        line("doing", status.activity.empty() ? status.reason : status.activity);
        return out;
    }
    out += '\n';
    line("cluster", fmt::format("{}, epoch {}, revision {}, told by {}", status.cluster, status.epoch.value,
                                status.revision, status.told_by));
    line("commits", sync_text(status));
    line("voters", fmt::format("{} of {} answer", status.voters_alive, status.voters));
    if (status.lease_ms) line("lease", fmt::format("{} ms left, profile {}", *status.lease_ms, status.profile));
    line("fence", status.fence);
    line("guardian", status.guardian);
    line("switchover", status.handover);
    line("doing", status.activity);
    if (status.paused) line("paused", "no automatic elections and restarts: pgkeel resume");
    if (status.blocked) line("blocked", status.reason);
    if (status.backup) line("backup", backup_text(*status.backup, status.unix_ms));
    line("store", status.store_trouble);
    if (status.certificate_days)
        line("identity", fmt::format("certificate of {} is good for {} days and renews itself", status.told_by,
                                     *status.certificate_days));
    if (!status.pending_restart.empty())
        line("restart", fmt::format("{} wait for one: pgkeel restart", fmt::join(status.pending_restart, ", ")));
    out += '\n' + member_table(status, style);
    if (status.events.empty()) return out;
    out += '\n';
    for (auto const& event : status.events)
        out += fmt::format("  {}  {}\n", utc_text(event.unix_ms).substr(11, 12), harmless(event.text));
    return out;
}

std::string render_topology(ClusterStatus const& status, Style style) {
    std::string out;
    std::set<std::string> drawn;
    auto const label = [&](MemberStatus const& member) {
        std::string text = fmt::format("{}  {}", harmless(member.name), member.role);
        if (auto const lag = lag_text(member); !lag.empty()) text += ", " + (lag == "?" ? "lag not known" : lag);
        if (member.timeline.value != 0) text += fmt::format(", timeline {}", member.timeline.value);
        if (auto const more = remarks(member); !more.empty()) text += "  (" + more + ")";
        return paint(text, member.healthy ? kGreen : kYellow, style);
    };
    auto const draw = [&](auto const& self, std::string const& parent, std::string const& indent) -> void {
        std::vector<MemberStatus const*> children;
        for (auto const& member : status.members) {
            if (member.upstream == parent && member.name != parent && !drawn.contains(member.name))
                children.push_back(&member);
        }
        for (std::size_t i = 0; i < children.size(); ++i) {
            bool const last = i + 1 == children.size();
            drawn.insert(children[i]->name);
            out += indent + (last ? "└─ " : "├─ ") + label(*children[i]) + '\n';
            self(self, children[i]->name, indent + (last ? "   " : "│  "));
        }
    };
    for (auto const& member : status.members) {
        if (!member.upstream.empty() || drawn.contains(member.name)) continue;
        drawn.insert(member.name);
        out += label(member) + '\n';
        draw(draw, member.name, "");
    }
    for (auto const& member : status.members) {  // whose upstream is not a member
        if (!drawn.contains(member.name)) out += label(member) + '\n';
    }
    return out;
}

std::string render_history(std::vector<HistoryEvent> const& events, std::map<NodeId, std::string> const& names) {
    if (events.empty()) return "Nothing has happened yet.\n";
    std::vector<Row> rows;
    for (auto const& event : events) {
        auto const name = names.find(event.node);
        rows.push_back({utc_text(event.unix_ms), fmt::format("epoch {}", event.epoch.value), harmless(event.kind),
                        harmless(name == names.end() ? event.node.value : name->second), harmless(event.text)});
    }
    return table(rows);
}

std::string render_explanation(Explanation const& explanation) {
    std::string out = harmless(explanation.sentence) + "\n";
    if (!explanation.evidence.empty()) out += "\nIt rests on:\n";
    for (auto const& line : explanation.evidence) out += "  - " + harmless(line) + "\n";
    return out;
}

}  // namespace keel::cluster
