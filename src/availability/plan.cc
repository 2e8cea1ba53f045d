#include "availability/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "availability/chain.h"
#include "availability/nines.h"

namespace keel::availability {

namespace {

using cluster::Mode;

constexpr double kPriceMax = 1e9;

double share_down(Machine const& machine) { return machine.down_hours_year / kYearHours; }

Status check_figure(double value, double most, std::string const& what, char const* mend) {
    if (std::isfinite(value) && value >= 0 && value <= most) return {};
    return fail(Code::invalid, fmt::format("{} cannot be {}", what, value), mend);
}

Status check_machines(std::vector<Machine> const& machines, char const* what) {
    for (std::size_t i = 0; i < machines.size(); ++i) {
        auto const name = machines.size() == 1 ? std::string(what) : fmt::format("{} {}", what, i + 1);
        KEEL_CHECK(check_figure(machines[i].price_month, kPriceMax, "the price of " + name,
                                "the price of a month, from 0 on: 45"));
        // Half a year: what is down for longer is no server.
        KEEL_CHECK(check_figure(machines[i].down_hours_year, kYearHours / 2, "the hours that " + name + " is down",
                                "hours in a year, from 0 to 4383: 45:8.8"));
    }
    return {};
}

Status check_spans(Deployment const& setup) {
    KEEL_CHECK(check_figure(setup.users, 1e12, "the number of users", "a number from 1 on"));
    KEEL_CHECK(check_figure(setup.hour_down_cost, kPriceMax, "the cost of an hour down", "a price from 0 on"));
    KEEL_CHECK(check_figure(setup.failover_seconds, 3600, "the length of a change of leader", "seconds, at most 3600"));
    KEEL_CHECK(check_figure(setup.restore_hours, 8766, "the length of a restore", "hours, at most a year's"));
    KEEL_CHECK(check_figure(setup.lag_seconds, 86'400, "the standbys' lag", "seconds, at most a day's"));
    KEEL_CHECK(check_figure(setup.repair_hours, 2000, "the time of a repair", "hours, at most 2000"));
    if (setup.repair_hours < 0.01)
        return fail(Code::invalid, "a repair that takes no time", "hours until a broken machine is back: 4");
    return {};
}

Status check(Deployment const& setup) {
    if (setup.servers.empty())
        return fail(Code::invalid, "a set-up without a server", "--server PRICE for each: --server 45 --server 23");
    auto const machines = setup.servers.size() + setup.witnesses.size();
    if (machines > kMachinesMax)
        return fail(Code::invalid, fmt::format("{} servers and witnesses", machines),
                    fmt::format("at most {}: further ones have no vote and change little", kMachinesMax));
    if (setup.proxies.size() > 20)
        return fail(Code::invalid, fmt::format("{} proxies", setup.proxies.size()), "at most 20");
    KEEL_CHECK(check_machines(setup.servers, "server"));
    KEEL_CHECK(check_machines(setup.witnesses, "witness"));
    KEEL_CHECK(check_machines(setup.proxies, "proxy"));
    KEEL_CHECK(check_spans(setup));
    if (setup.mode == Mode::async) return {};
    if (setup.quorum < 1 || setup.quorum > 100)
        return fail(Code::invalid, fmt::format("a quorum of {} standbys", setup.quorum), "1 or more, or --mode async");
    if (setup.mode == Mode::strict && setup.quorum >= setup.servers.size())
        return fail(Code::invalid,
                    fmt::format("strict with a quorum of {} and {} standbys: it would never take a write", setup.quorum,
                                setup.servers.size() - 1),
                    "a further --server, a smaller --quorum, or --mode quorum");
    return {};
}

Chain chain_of(Deployment const& setup) {
    Chain out;
    double const mends = 1 / setup.repair_hours;
    for (auto const* machines : {&setup.servers, &setup.witnesses}) {
        for (auto const& machine : *machines)
            out.parts.push_back({mends * share_down(machine) / (1 - share_down(machine)), mends});
    }
    out.servers = static_cast<std::uint32_t>(setup.servers.size());
    auto const count = static_cast<std::uint32_t>(out.parts.size());
    out.votes = count % 2 == 1 ? count : count - 1;
    out.standbys_needed = setup.mode == Mode::strict ? setup.quorum : 0;
    return out;
}

// Of machines any one of which is enough.
struct Any {
    double up = 1;
    double ends_hour = 0;  // how often the last one goes
};

Any any_of(std::vector<Machine> const& machines, double repair_hours) {
    if (machines.empty()) return {};
    double down = 1;
    for (auto const& machine : machines) down *= share_down(machine);
    return {1 - down, down * static_cast<double>(machines.size()) / repair_hours};
}

double sum_of_prices(Deployment const& setup) {
    double out = 0;
    for (auto const* machines : {&setup.servers, &setup.witnesses, &setup.proxies})
        for (auto const& machine : *machines) out += machine.price_month;
    return out;
}

Alone compare(Deployment const& setup, Estimate const& all) {
    Alone out;
    out.price_month = setup.servers.front().price_month;
    out.down_hours_year = setup.servers.front().down_hours_year;
    out.down_cost_month = out.down_hours_year / 12 * setup.hour_down_cost;
    out.extra_month = all.price_month - out.price_month;
    out.saved_month = out.down_cost_month - all.down_cost_month;
    double const hours = (out.down_hours_year - all.write_down_hours_year) / 12;
    if (hours > 0) out.pays_from_hour_cost = out.extra_month / hours;
    return out;
}

std::vector<Budget> budgets_of(Deployment const& setup, Estimate const& all) {
    std::vector<Budget> out;
    for (double const availability : {0.99, 0.999, 0.9999, 0.99999}) {
        double const hours = (1 - availability) * kYearHours;
        out.push_back({availability, hours * 60, setup.restore_hours / hours, all.failover_down_hours_year / hours});
    }
    return out;
}

std::vector<std::string> notes_of(Deployment const& setup, Estimate const& all) {
    std::vector<std::string> out;
    auto const machines = setup.servers.size() + setup.witnesses.size();
    if (machines == 1) {
        out.emplace_back(
            "nothing takes the place of the one server: each failure lasts until it is repaired, or restored");
    } else if (machines == 2) {
        out.emplace_back(
            "two machines have one vote between them, the first one's: when it fails, nobody may take over. "
            "A witness (--witness) gives a third vote");
    } else if (machines % 2 == 0) {
        out.push_back(
            fmt::format("of {} machines {} have a vote: the last adds a copy, and no vote", machines, machines - 1));
    }
    if (setup.servers.size() == 2 && machines > 2 && setup.mode == Mode::quorum)
        out.emplace_back(
            "with two servers, the one that is left writes alone; if it fails before the other has caught "
            "up, nobody may take over");
    if (setup.proxies.size() == 1 && all.proxy_down_hours_year > all.cluster_down_hours_year)
        out.push_back(
            fmt::format("the one proxy is the weakest part: {} of the {} a year. A second one, or the proxies "
                        "on the servers themselves (no --proxy), takes that away",
                        span_text(all.proxy_down_hours_year * 3600), span_text(all.write_down_hours_year * 3600)));
    if (setup.mode == Mode::async && all.failovers_year > 0)
        out.push_back(
            fmt::format("async: each change of leader loses what the standby does not have yet, about {} of "
                        "writes. --mode quorum loses nothing",
                        span_text(setup.lag_seconds)));
    if (all.alone.saved_month < all.alone.extra_month && machines > 1)
        out.push_back(all.alone.pays_from_hour_cost
                          ? fmt::format("by availability alone it pays from {:.2f} for an hour down; copies that "
                                        "survive a lost disk are not in that figure",
                                        *all.alone.pays_from_hour_cost)
                          : std::string("it is not up for longer than the first server alone"));
    return out;
}

}  // namespace

Result<Machine> parse_machine(std::string_view text) {
    Machine out;
    auto const wrong = [&] {
        return fail(Code::invalid, fmt::format("\"{}\" is no machine", text),
                    "the price of a month, and if known the hours that it is down in a year: 45 or 45:8.8");
    };
    auto const colon = text.find(':');
    auto const number = [](std::string_view digits, double& into) {
        auto const [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), into);
        return error == std::errc{} && end == digits.data() + digits.size() && std::isfinite(into) && into >= 0;
    };
    if (!number(text.substr(0, colon), out.price_month)) return wrong();
    if (colon != std::string_view::npos && !number(text.substr(colon + 1), out.down_hours_year)) return wrong();
    return out;
}

Result<Estimate> estimate(Deployment const& setup) {
    KEEL_CHECK(check(setup));
    Estimate out;
    out.setup = setup;
    auto const chain = chain_of(setup);
    out.votes = chain.votes;
    out.majority = chain.votes / 2 + 1;
    auto const steady = steady_state(chain);
    auto const proxies = any_of(setup.proxies, setup.repair_hours);
    auto const servers = any_of(setup.servers, setup.repair_hours);

    double const failovers_hour = steady.leader_breaks_hour * proxies.up;
    double const interrupted = failovers_hour * setup.failover_seconds / 3600;
    out.failovers_year = failovers_hour * kYearHours;
    out.failover_down_hours_year = interrupted * kYearHours;
    out.cluster_down_hours_year = (1 - steady.writes) * kYearHours;
    out.proxy_down_hours_year = (1 - proxies.up) * steady.writes * kYearHours;
    out.write_availability = std::max(0.0, steady.writes * proxies.up - interrupted);
    out.read_availability = servers.up * proxies.up;
    out.nines = nines_of(out.write_availability);
    out.write_down_hours_year = (1 - out.write_availability) * kYearHours;
    out.read_down_hours_year = (1 - out.read_availability) * kYearHours;

    double const outages_hour = steady.outages_hour * proxies.up + proxies.ends_hour * steady.writes + failovers_hour;
    out.outages_year = outages_hour * kYearHours;
    if (outages_hour > 0) {
        out.mtbf_hours = out.write_availability / outages_hour;
        out.mttr_minutes = (1 - out.write_availability) / outages_hour * 60;
    }
    if (setup.mode == Mode::async) out.lost_seconds_year = out.failovers_year * setup.lag_seconds;
    out.price_month = sum_of_prices(setup);
    if (setup.users > 0) out.price_user_month = out.price_month / setup.users;
    out.down_cost_month = out.write_down_hours_year / 12 * setup.hour_down_cost;
    out.total_month = out.price_month + out.down_cost_month;
    out.alone = compare(setup, out);
    out.budgets = budgets_of(setup, out);
    out.notes = notes_of(setup, out);
    return out;
}

}  // namespace keel::availability
