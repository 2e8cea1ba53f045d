// The estimate of a set-up as text for terminals.
#include <fmt/format.h>

#include "availability/nines.h"
#include "availability/plan.h"

namespace keel::availability {

namespace {

using cluster::Mode;

std::string counted(std::size_t count, char const* one, char const* many) {
    return fmt::format("{} {}", count, count == 1 ? one : many);
}

std::string title(Estimate const& of) {
    auto const& setup = of.setup;
    std::string out = counted(setup.servers.size(), "server", "servers");
    if (!setup.witnesses.empty()) out += ", " + counted(setup.witnesses.size(), "witness", "witnesses");
    if (!setup.proxies.empty()) out += ", " + counted(setup.proxies.size(), "proxy", "proxies");
    out += fmt::format("; mode {}", boost::describe::enum_to_string(setup.mode, "?"));
    if (setup.mode != Mode::async) out += fmt::format(" {}", setup.quorum);
    if (of.votes > 1) out += fmt::format("; {} of {} votes decide", of.majority, of.votes);
    return out;
}

std::string loss(Estimate const& of) {
    if (of.setup.mode != Mode::async || of.failovers_year <= 0)
        return "nothing that was acknowledged, by a change of leader";
    return fmt::format("about {} of writes a year, by {:.2f} changes of leader", span_text(of.lost_seconds_year),
                       of.failovers_year);
}

std::string availability_line(double availability, double down_hours) {
    return fmt::format("{} ({:.1f} nines), {} a year down", percent_text(availability), nines_of(availability),
                       span_text(down_hours * 3600));
}

std::string money(Estimate const& of) {
    std::string out = fmt::format("{:.2f} a month", of.price_month);
    if (of.price_user_month)
        out += fmt::format(", {:.2f} for each of {:.0f} users", *of.price_user_month, of.setup.users);
    return out;
}

std::string comparison(Estimate const& of) {
    auto const& alone = of.alone;
    std::string out =
        fmt::format("{:.2f} a month, {} a year down", alone.price_month, span_text(alone.down_hours_year * 3600));
    if (of.setup.hour_down_cost > 0)
        out += fmt::format(", altogether {:.2f} a month", alone.price_month + alone.down_cost_month);
    return out;
}

std::string pay_back(Estimate const& of) {
    auto const& alone = of.alone;
    std::string out = fmt::format("{:.2f} more a month, and {} less down", alone.extra_month,
                                  span_text((alone.down_hours_year - of.write_down_hours_year) * 3600));
    if (of.write_down_hours_year > alone.down_hours_year)
        out = fmt::format("{:.2f} more a month, and {} more down", alone.extra_month,
                          span_text((of.write_down_hours_year - alone.down_hours_year) * 3600));
    double const net = alone.saved_month - alone.extra_month;
    out += fmt::format(": {} {:.2f} a month", net >= 0 ? "saves" : "costs", net >= 0 ? net : -net);
    return out;
}

}  // namespace

std::string render(Estimate const& of) {
    std::string out = title(of) + "\n\n";
    auto const line = [&](char const* name, std::string const& text) {
        out += fmt::format("  {:<12}{}\n", name, text);
    };
    line("price", money(of));
    line("writes", availability_line(of.write_availability, of.write_down_hours_year));
    line("", fmt::format("of it: cluster {}, proxies {}, changes of leader {}",
                         span_text(of.cluster_down_hours_year * 3600), span_text(of.proxy_down_hours_year * 3600),
                         span_text(of.failover_down_hours_year * 3600)));
    line("reads", availability_line(of.read_availability, of.read_down_hours_year));
    if (of.mtbf_hours)
        line("outages", fmt::format("{:.2f} a year, {:.2f} of them changes of leader; {} between two (MTBF), {} each "
                                    "on average (MTTR)",
                                    of.outages_year, of.failovers_year, span_text(*of.mtbf_hours * 3600),
                                    span_text(*of.mttr_minutes * 60)));
    line("loss", loss(of));
    if (of.setup.hour_down_cost > 0) {
        line("down costs", fmt::format("{:.2f} a month at {:.2f} an hour; altogether {:.2f} a month",
                                       of.down_cost_month, of.setup.hour_down_cost, of.total_month));
    }
    line("one server", comparison(of));
    if (of.setup.hour_down_cost > 0) line("pay-back", pay_back(of));
    out += fmt::format("\n  {:<10}  {:>12}  {:>26}  {:>22}\n", "budget", "down a year",
                       fmt::format("a restore of {} takes", span_text(of.setup.restore_hours * 3600)),
                       "changes of leader take");
    for (auto const& budget : of.budgets)
        out += fmt::format("  {:<10}  {:>12}  {:>26}  {:>22}\n", fmt::format("{:.6g} %", budget.availability * 100),
                           span_text(budget.minutes_year * 60),
                           fmt::format("{:.2f} years of it", budget.years_per_restore),
                           fmt::format("{:.2g} % of it", budget.failover_share * 100));
    if (!of.notes.empty()) out += '\n';
    for (auto const& note : of.notes) out += fmt::format("  - {}\n", note);
    return out;
}

}  // namespace keel::availability
