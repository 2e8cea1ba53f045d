#include "cli/history_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "availability/nines.h"
#include "cli/html_text.h"

namespace keel::cli {

namespace {

using availability::Cause;
using availability::span_text;
using cluster::HistoryEvent;

// What belongs to it: from a minute before to ten minutes after, when the cluster is whole again.
constexpr std::int64_t kBeforeMs = 60'000;
constexpr std::int64_t kAfterMs = 600'000;
constexpr std::size_t kEventsMax = 400;

constexpr char const* kStyle =
    R"(body {{ font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 64rem;
  margin: 2rem auto; padding: 0 1rem; overflow-wrap: anywhere; }}
h1 {{ font-size: 1.5rem; margin-bottom: 0.25rem; }}
h2 {{ font-size: 1.1rem; margin-top: 2rem; }}
p.soft, td.soft {{ color: var(--soft); }}
p.soft {{ margin-top: 0; }}
p.verdict {{ border-left: 0.4rem solid currentColor; padding: 0.5rem 1rem; font-weight: 600; }}
p.good {{ color: var(--good); }}
p.bad {{ color: var(--bad); }}
div.wide {{ overflow-x: auto; }}
table {{ border-collapse: collapse; width: 100%; }}
th, td {{ text-align: left; vertical-align: top; padding: 0.3rem 0.75rem 0.3rem 0; border-bottom: 1px solid var(--line); }}
th {{ font-weight: 600; white-space: nowrap; }}
td.time {{ font-variant-numeric: tabular-nums; white-space: nowrap; }}
td.text {{ min-width: 16rem; width: 60%; }}
tr.own {{ font-weight: 600; }}
div.phases {{ display: flex; height: 1.6rem; border-radius: 0.2rem; overflow: hidden; }}
div.phases span {{ background: var(--bar); border-right: 2px solid var(--paper); min-width: 3px; }}
@media print {{ :root {{ --ink: #000; --soft: #444; --line: #999; --paper: #fff; --good: #000; --bad: #000; --bar: #555; }}
  body {{ font-size: 10pt; max-width: none; margin: 0; }} h2 {{ break-after: avoid; }} tr {{ break-inside: avoid; }}
  div.phases span {{ print-color-adjust: exact; -webkit-print-color-adjust: exact; }} }}
</style>
</head>
<body>
)";

struct Phase {
    std::string name;
    std::int64_t ms = 0;
};

// "detect 612 ms, fence 3 ms, ..."; what is not like that is left out.
std::vector<Phase> phases_of(std::string_view text) {
    std::vector<Phase> out;
    while (!text.empty()) {
        auto const end = std::min(text.find(", "), text.size());
        auto const part = text.substr(0, end);
        auto const space = part.find(' ');
        Phase phase;
        if (space != std::string_view::npos) {
            phase.name = part.substr(0, space);
            auto const digits = part.substr(space + 1);
            auto const [last, error] = std::from_chars(digits.data(), digits.data() + digits.size(), phase.ms);
            if (error == std::errc{} && last != digits.data() && phase.ms >= 0) out.push_back(phase);
        }
        text.remove_prefix(std::min(end + 2, text.size()));
    }
    return out;
}

constexpr std::pair<char const*, char const*> kMeanings[] = {
    {"detect", "from the last word of the old leader until another node took the next epoch"},
    {"fence",
     "until enough nodes had cut themselves off the old leader, so that nothing more could be committed there"},
    {"decide", "until one of them was chosen"},
    {"promote", "until its PostgreSQL had left recovery"},
    {"open", "until it was confirmed and took writes"}};

std::string meaning_of(std::string const& phase) {
    auto const found = std::ranges::find(kMeanings, std::string_view(phase),
                                         [](auto const& one) { return std::string_view(one.first); });
    return found == std::end(kMeanings) ? std::string() : found->second;
}

std::string name_of(Incident const& in, NodeId const& id) {
    auto const found = in.names.find(id);
    return found == in.names.end() ? id.value : found->second;
}

std::string row(std::string const& name, std::string const& value) {
    return fmt::format("<tr><th scope=\"row\">{}</th><td>{}</td></tr>\n", escaped(name), escaped(value));
}

std::string seconds(std::int64_t ms) { return span_text(static_cast<double>(ms) / 1000); }

std::string facts(Incident const& in) {
    std::string out = "<h2>What happened</h2>\n<table>\n";
    out += row("Kind", in.outage.cause == Cause::failover ? "failover: nobody had asked for it"
                                                          : "switchover: an operator, or a node being stopped, asked");
    out += row("Leader", in.leader_before == in.leader_after
                             ? in.leader_after + " (elected again)"
                             : fmt::format("{} before, {} after", in.leader_before, in.leader_after));
    if (!in.outage.why.empty()) out += row("Why", in.outage.why);
    out += row("Writes stopped", cluster::utc_text(in.outage.from_ms));
    out += row("Writes again",
               fmt::format("{}, {} later", cluster::utc_text(in.outage.until_ms), seconds(in.outage.ms())));
    out += row("Epoch", std::to_string(in.epoch));
    if (in.losses.empty()) out += row("Lost", "the history knows of no acknowledged commit that was lost");
    for (auto const& loss : in.losses) out += row("Lost", loss);
    return out + "</table>\n";
}

std::string phases(Incident const& in) {
    auto const all = phases_of(in.outage.phases);
    if (all.empty()) return {};
    std::int64_t sum = 0;
    for (auto const& phase : all) sum += phase.ms;
    std::string bar, rows;
    for (auto const& phase : all) {
        bar += fmt::format("<span style=\"flex-grow:{}\" title=\"{} {} ms\"></span>",
                           std::max<std::int64_t>(phase.ms, 1), escaped(phase.name), phase.ms);
        rows +=
            fmt::format("<tr><th scope=\"row\">{}</th><td class=\"time\">{} ms</td><td class=\"soft\">{}</td></tr>\n",
                        escaped(phase.name), phase.ms, escaped(meaning_of(phase.name)));
    }
    return fmt::format(
        "<h2>Phases: {} ms</h2>\n<div class=\"phases\" role=\"img\" aria-label=\"{}\">{}</div>\n<table>\n{}"
        "</table>\n",
        sum, escaped(in.outage.phases), bar, rows);
}

std::string story(Incident const& in) {
    std::string out =
        "<h2>Decisions and events, each with its reason</h2>\n<div class=\"wide\"><table>\n"
        "<tr><th scope=\"col\">UTC</th><th scope=\"col\">after</th><th scope=\"col\">epoch</th>"
        "<th scope=\"col\">who</th><th scope=\"col\">what</th><th scope=\"col\">reason</th></tr>\n";
    for (auto const& event : in.events) {
        auto const after = event.unix_ms - in.outage.from_ms;
        bool const own = event.epoch.value == in.epoch && event.unix_ms <= in.outage.until_ms;
        out += fmt::format(
            "<tr{}><td class=\"time\">{}</td><td class=\"time\">{}{}</td><td>{}</td><td>{}</td><td>{}</td>"
            "<td class=\"text\">{}</td></tr>\n",
            own ? " class=\"own\"" : "", cluster::utc_text(event.unix_ms).substr(11, 12), after < 0 ? "-" : "",
            seconds(after < 0 ? -after : after), event.epoch.value, escaped(name_of(in, event.node)),
            escaped(event.kind), escaped(event.text));
    }
    return out + "</table></div>\n";
}

std::string leader_of(std::vector<HistoryEvent> const& events, std::uint64_t below,
                      std::map<NodeId, std::string> const& names) {
    for (auto at = events.rbegin(); at != events.rend(); ++at) {
        if (at->kind != "leader" || at->epoch.value >= below) continue;
        auto const name = names.find(at->node);
        return name == names.end() ? at->node.value : name->second;
    }
    return "not known";
}

}  // namespace

Result<Incident> find_incident(std::vector<HistoryEvent> const& events, cluster::ClusterStatus const& status,
                               availability::Ledger const& ledger, std::uint64_t epoch) {
    auto const found = std::find_if(ledger.outages.rbegin(), ledger.outages.rend(), [&](auto const& one) {
        return one.epoch != 0 && (epoch == 0 || one.epoch == epoch);
    });
    if (found == ledger.outages.rend())
        return fail(Code::not_found,
                    epoch == 0 ? std::string("there was no change of leader that this node knows of")
                               : fmt::format("no change of leader began epoch {}, as far as this node knows", epoch),
                    "pgkeel history --availability lists them; --kind leader says which epoch each began");
    Incident out;
    out.cluster = status.cluster;
    out.told_by = status.told_by;
    out.made_ms = status.unix_ms;
    out.epoch = found->epoch;
    out.outage = *found;
    for (auto const& member : status.members) out.names[member.id] = member.name;
    out.leader_before = leader_of(events, out.epoch, out.names);
    out.leader_after = leader_of(events, out.epoch + 1, out.names);
    for (auto const& event : events) {
        bool const its_epoch = event.epoch.value == out.epoch;
        bool const lost = event.kind == "loss" || (event.kind == "appoint" && event.text.contains("are not on it"));
        if (lost && its_epoch) out.losses.push_back(event.text);
        bool const near =
            event.unix_ms >= out.outage.from_ms - kBeforeMs && event.unix_ms <= out.outage.until_ms + kAfterMs;
        if (near && event.epoch.value <= out.epoch && out.events.size() < kEventsMax) out.events.push_back(event);
    }
    bool const same = out.leader_before == out.leader_after;
    out.sentence =
        fmt::format("{}: writes were not possible for {}{}",
                    same                                  ? out.leader_after + " was elected again"
                    : out.outage.cause == Cause::failover ? out.leader_after + " took over from " + out.leader_before
                                                          : out.leader_before + " handed over to " + out.leader_after,
                    seconds(out.outage.ms()),
                    out.losses.empty() ? "; nothing acknowledged is known to be lost" : "; something was lost");
    return out;
}

std::string render_html(Incident const& in) {
    auto const title =
        escaped(fmt::format("{}: {} of {}", in.cluster, in.outage.cause == Cause::failover ? "failover" : "switchover",
                            cluster::utc_text(in.outage.from_ms).substr(0, 16) + "Z"));
    std::string out = page_top(title, kStyle);
    out += fmt::format("<h1>{}</h1>\n<p class=\"soft\">from the history kept by {}, {}</p>\n", title,
                       escaped(in.told_by), cluster::utc_text(in.made_ms));
    out += fmt::format("<p class=\"verdict {}\">{}.</p>\n", in.losses.empty() ? "good" : "bad", escaped(in.sentence));
    return out + facts(in) + phases(in) + story(in) + "</body>\n</html>\n";
}

}  // namespace keel::cli
