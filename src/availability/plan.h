// What a set-up can be expected to cost and to be worth: its availability, its loss and its price, from figures that
// are given. Machines break one by one and independently; docs/OBSERVABILITY.md says what that leaves out.
#pragma once

#include <boost/describe.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cluster/record.h"

namespace keel::availability {

struct Machine {
    double price_month = 0;
    double down_hours_year = 8.8;  // broken, switched off, or cut off
};
BOOST_DESCRIBE_STRUCT(Machine, (), (price_month, down_hours_year))

struct Deployment {
    std::vector<Machine> servers;
    std::vector<Machine> witnesses;
    std::vector<Machine> proxies;  // on machines of their own; none: they run on the servers
    cluster::Mode mode = cluster::Mode::quorum;
    std::uint32_t quorum = 1;
    double users = 0;             // 0: nobody asked for the price of one
    double hour_down_cost = 0;    // what an hour without writes costs
    double repair_hours = 4;      // until a machine that broke is back
    double failover_seconds = 1;  // that a change of leader interrupts writes
    double restore_hours = 2;     // of the database from a backup
    double lag_seconds = 0.1;     // async: how late a standby has a commit
};
BOOST_DESCRIBE_STRUCT(Deployment, (),
                      (servers, witnesses, proxies, mode, quorum, users, hour_down_cost, repair_hours, failover_seconds,
                       restore_hours, lag_seconds))

// Of 99 %, 99.9 %, ...: what it allows in a year, and what uses it up.
struct Budget {
    double availability = 0;
    double minutes_year = 0;
    double years_per_restore = 0;  // of this budget that one restore takes
    double failover_share = 0;     // of one year's budget that the changes of leader take
};
BOOST_DESCRIBE_STRUCT(Budget, (), (availability, minutes_year, years_per_restore, failover_share))

// The first server alone, without anything that replaces it.
struct Alone {
    double price_month = 0;
    double down_hours_year = 0;
    double down_cost_month = 0;
    double extra_month = 0;  // that the set-up costs more, and that it saves
    double saved_month = 0;
    std::optional<double> pays_from_hour_cost;  // none: it is not up for longer than the one server
};
BOOST_DESCRIBE_STRUCT(Alone, (),
                      (price_month, down_hours_year, down_cost_month, extra_month, saved_month, pays_from_hour_cost))

struct Estimate {
    int format = 1;
    Deployment setup;
    std::uint32_t votes = 0, majority = 0;
    double price_month = 0;
    std::optional<double> price_user_month;
    double write_availability = 1, read_availability = 1;
    double nines = 0;  // of writes
    double write_down_hours_year = 0, read_down_hours_year = 0;
    // Parts of the hours without writes.
    double cluster_down_hours_year = 0, proxy_down_hours_year = 0, failover_down_hours_year = 0;
    double failovers_year = 0;
    double outages_year = 0;             // changes of leader among them
    std::optional<double> mtbf_hours;    // none: it is never down
    std::optional<double> mttr_minutes;  // how long an outage lasts, on average
    double lost_seconds_year = 0;        // of writes that were acknowledged
    double down_cost_month = 0, total_month = 0;
    Alone alone;
    std::vector<Budget> budgets;
    std::vector<std::string> notes;
};
BOOST_DESCRIBE_STRUCT(Estimate, (),
                      (format, setup, votes, majority, price_month, price_user_month, write_availability,
                       read_availability, nines, write_down_hours_year, read_down_hours_year, cluster_down_hours_year,
                       proxy_down_hours_year, failover_down_hours_year, failovers_year, outages_year, mtbf_hours,
                       mttr_minutes, lost_seconds_year, down_cost_month, total_month, alone, budgets, notes))

// "45" or "45:12": the price of a month, and the hours that it is down in a year.
Result<Machine> parse_machine(std::string_view text);
// invalid: figures that no set-up can have.
Result<Estimate> estimate(Deployment const& setup);
std::string render(Estimate const& estimate);

}  // namespace keel::availability
