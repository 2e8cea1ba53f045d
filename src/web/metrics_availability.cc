// Metrics: what clients could not do, counted from the cluster's history.
#include "web/metrics.h"
#include "web/metrics_text.h"

namespace keel::web {

namespace {

using availability::Account;

struct Window {
    char const* name;
    Account const* account;
};

}  // namespace

std::string render_availability(availability::Ledger const& ledger) {
    Text out;
    Window const windows[] = {{"30d", &ledger.days30}, {"366d", &ledger.year}, {"month", &ledger.months.back()}};
    auto const each = [&](char const* name, char const* help, auto value) {
        out.family(name, "gauge", help);
        for (auto const& window : windows) out.sample(value(*window.account), {{"window", window.name}});
    };
    each("pgkeel_availability_ratio",
         "Share of the window's time, as far as it is known, in which writes were possible.",
         [](Account const& of) { return of.availability; });
    each("pgkeel_availability_known_seconds", "How much of the window this node knows.",
         [](Account const& of) { return static_cast<double>(of.until_ms - of.from_ms) / 1000; });
    each("pgkeel_availability_down_seconds", "Time in the window in which writes were not possible.",
         [](Account const& of) { return of.down_seconds; });
    each("pgkeel_availability_longest_outage_seconds", "The longest outage of the window.",
         [](Account const& of) { return of.longest_seconds; });
    out.family("pgkeel_availability_outages", "gauge", "Outages of the window, by cause.");
    for (auto const& window : windows) {
        out.sample(window.account->failovers, {{"window", window.name}, {"cause", "failover"}});
        out.sample(window.account->switchovers, {{"window", window.name}, {"cause", "switchover"}});
    }
    auto const present = [&](char const* name, char const* help, auto field) {
        out.family(name, "gauge", help);
        for (auto const& window : windows)
            if (auto const& value = window.account->*field) out.sample(*value, {{"window", window.name}});
    };
    present("pgkeel_availability_mtbf_seconds", "Mean time with writes between two outages; no sample: no outage.",
            &Account::mtbf_seconds);
    present("pgkeel_availability_mttr_seconds", "Mean length of an outage; no sample: no outage.",
            &Account::mttr_seconds);
    double const down = ledger.down_since_ms ? static_cast<double>(ledger.unix_ms - *ledger.down_since_ms) / 1000 : 0;
    out.gauge("pgkeel_availability_down_now_seconds",
              "For how long writes have not been possible, as this node sees it.", down);
    return out.take();
}

}  // namespace keel::web
