// The drill's page: one file that can be mailed, with every text escaped and nothing from elsewhere.
#include <fmt/format.h>

#include <algorithm>

#include "cli/drill_report.h"
#include "cli/html_text.h"

namespace keel::cli::drill {

namespace {

constexpr char const* kStyle =
    R"(body {{ font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 60rem;
  margin: 2rem auto; padding: 0 1rem; }}
h1 {{ font-size: 1.5rem; margin-bottom: 0.25rem; }}
h2 {{ font-size: 1.1rem; margin-top: 2rem; }}
p.soft {{ color: var(--soft); margin-top: 0; }}
p.verdict {{ border-left: 0.4rem solid currentColor; padding: 0.5rem 1rem; font-weight: 600; }}
p.good {{ color: var(--good); }}
p.bad {{ color: var(--bad); }}
table {{ border-collapse: collapse; width: 100%; }}
th, td {{ text-align: left; vertical-align: top; padding: 0.3rem 0.75rem 0.3rem 0; border-bottom: 1px solid var(--line); }}
th {{ font-weight: 600; white-space: nowrap; }}
td.ms {{ text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }}
td.bar {{ width: 30%; }}
td.bar span {{ display: block; height: 0.6rem; margin-top: 0.45rem; background: var(--bar); border-radius: 0.15rem; }}
</style>
</head>
<body>
)";

std::string row(std::string const& name, std::string const& value) {
    return fmt::format("<tr><th scope=\"row\">{}</th><td>{}</td></tr>\n", escaped(name), escaped(value));
}

std::string outage(std::optional<std::int64_t> const& ms) {
    return ms ? fmt::format("{} ms", *ms) : "no answer after the fault";
}

std::string phases(Report const& report) {
    if (report.phases.empty()) return {};
    std::string out = "<h2>Phases</h2>\n<table>\n";
    auto const last = std::max<std::int64_t>(1, report.phases.back().ms);
    for (auto const& phase : report.phases) {
        std::string name = phase.who;
        std::ranges::replace(name, '_', ' ');
        out += fmt::format(
            "<tr><td class=\"ms\">{} ms</td><th scope=\"row\">{}</th><td>{}</td>"
            "<td class=\"bar\"><span style=\"width:{}%\"></span></td></tr>\n",
            phase.ms, escaped(name), escaped(phase.text), std::clamp<std::int64_t>(phase.ms * 100 / last, 1, 100));
    }
    return out + "</table>\n";
}

std::string cost(Report const& report) {
    std::string out = "<h2>What it cost</h2>\n<table>\n";
    out += row("Writes interrupted", outage(report.write_outage_ms));
    out += row("Reads interrupted", outage(report.read_outage_ms));
    out += row("Acknowledged writes", report.checked
                                          ? fmt::format("{} checked one by one on {}, lost: {}", report.acknowledged,
                                                        report.leader_after, report.lost)
                                          : fmt::format("{}, not looked up: no primary answered", report.acknowledged));
    out += row("Outcome unknown", fmt::format("{} (COMMIT was on its way): {} stored, {} not; both are right",
                                              report.unknown, report.unknown_stored, report.unknown_absent));
    out += row("Refused", fmt::format("{} (broken off before COMMIT)", report.refused));
    if (report.foreign != 0) out += row("Wrong", fmt::format("{} rows that nobody wrote", report.foreign));
    for (auto const number : report.lost_numbers) out += row("Lost", fmt::format("write {}", number));
    for (auto const& reason : report.not_whole) out += row("Not whole", reason);
    if (!report.schema_dropped) out += row("Left behind", "the schema pgkeel_drill, on the primary");
    for (auto const& process : report.killed)
        out += row("Killed", fmt::format("process {}, {}", process.pid, process.what));
    return out + "</table>\n";
}

std::string story(Report const& report) {
    std::string out;
    if (!report.story.empty()) out += "<h2>What happened</h2>\n<table>\n";
    for (auto const& step : report.story)
        out += fmt::format("<tr><td class=\"ms\">{} ms</td><th scope=\"row\">{}</th><td>{}</td></tr>\n", step.ms,
                           escaped(step.who), escaped(step.text));
    if (!report.story.empty()) out += "</table>\n";
    if (!report.history.empty()) out += "<h2>What the cluster's history says</h2>\n<ol>\n";
    for (auto const& line : report.history) out += fmt::format("<li>{}</li>\n", escaped(line));
    if (!report.history.empty()) out += "</ol>\n";
    return out;
}

}  // namespace

std::string render_html(Report const& report) {
    auto const title = escaped(fmt::format("pgkeel drill of {}: {}", report.cluster, report.fault));
    std::string out = page_top(title, kStyle);
    out += fmt::format("<h1>{}</h1>\n<p class=\"soft\">{}, mode {}, run on {}: {}</p>\n", title,
                       escaped(cluster::utc_text(report.fault_unix_ms)), escaped(report.mode), escaped(report.node),
                       escaped(report.action));
    out += fmt::format("<p class=\"verdict {}\">{}</p>\n", report.verdict == Verdict::good ? "good" : "bad",
                       escaped(report.sentence));
    return out + phases(report) + cost(report) + story(report) + "</body>\n</html>\n";
}

}  // namespace keel::cli::drill
