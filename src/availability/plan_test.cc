#include "availability/plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <queue>
#include <random>
#include <set>

#include "availability/nines.h"

namespace keel::availability {
namespace {

using cluster::Mode;

Deployment issue_example() {
    Deployment setup;
    setup.servers = {{45, 8.8}, {23, 8.8}, {15, 8.8}};
    setup.proxies = {{5, 8.8}};
    setup.users = 100;
    setup.hour_down_cost = 28;
    return setup;
}

Estimate of(Deployment const& setup) {
    auto out = estimate(setup);
    EXPECT_TRUE(out) << to_string(out.error());
    return out ? *out : Estimate{};
}

// ---- another way to the same figures: failures drawn one by one, and the rules told as a story ----------------------

struct Lived {
    double hours = 0, without_writes = 0, without_reads = 0;
    double failovers = 0, outages = 0;
};

class Years {
  public:
    Years(Deployment setup, std::uint64_t seed) : setup_(std::move(setup)), chance_(seed) {
        for (auto const& one : setup_.servers) add(one, Is::server);
        for (auto const& one : setup_.witnesses) add(one, Is::witness);
        auto const members = machines_.size();
        for (std::size_t i = 0; i < members - (members % 2 == 0 ? 1 : 0); ++i) voters_.insert(i);
        for (auto const& one : setup_.proxies) add(one, Is::proxy);
        for (std::size_t i = 0; i < machines_.size(); ++i)
            if (machines_[i].is == Is::server) complete_.insert(i);
        for (std::size_t i = 0; i < machines_.size(); ++i) next_.emplace(draw(i), i);
        lead();
    }

    Lived live(double hours) {
        Lived out;
        double now = 0;
        while (now < hours) {
            auto const [at, which] = next_.top();
            next_.pop();
            bool const wrote = writes(), read = reads();
            auto const before = leader_;
            out.without_writes += wrote ? 0 : at - now;
            out.without_reads += read ? 0 : at - now;
            now = at;
            machines_[which].up = !machines_[which].up;
            lead();
            if (wrote && !writes()) ++out.outages;
            if (wrote && writes() && before != leader_) ++out.failovers;
            next_.emplace(now + draw(which), which);
        }
        out.hours = now;
        return out;
    }

  private:
    enum class Is { server, witness, proxy };
    struct Unit {
        Is is;
        double up_hours;
        bool up = true;
    };
    void add(Machine const& machine, Is is) {
        double const share = machine.down_hours_year / kYearHours;
        machines_.push_back({is, setup_.repair_hours * (1 - share) / share});
    }
    double draw(std::size_t which) {
        double const mean = machines_[which].up ? machines_[which].up_hours : setup_.repair_hours;
        return std::exponential_distribution<double>(1 / mean)(chance_);
    }
    std::set<std::size_t> running() const {
        std::set<std::size_t> out;
        for (std::size_t i = 0; i < machines_.size(); ++i)
            if (machines_[i].is == Is::server && machines_[i].up) out.insert(i);
        return out;
    }
    bool enough_standbys() const { return setup_.mode != Mode::strict || running().size() > setup_.quorum; }
    void lead() {
        auto const votes = std::ranges::count_if(voters_, [&](std::size_t i) { return machines_[i].up; });
        if (static_cast<std::size_t>(votes) * 2 <= voters_.size()) {
            leader_.reset();
            return;
        }
        if (!leader_ || !machines_[*leader_].up) {
            leader_.reset();
            for (auto const i : running())
                if (!leader_ && complete_.contains(i)) leader_ = i;
        }
        if (!leader_) return;
        if (enough_standbys())
            complete_ = running();
        else
            complete_.merge(running());
    }
    bool proxied() const {
        if (setup_.proxies.empty()) return true;
        return std::ranges::any_of(machines_, [](Unit const& one) { return one.is == Is::proxy && one.up; });
    }
    bool writes() const { return leader_ && enough_standbys() && proxied(); }
    bool reads() const { return !running().empty() && proxied(); }

    Deployment setup_;
    std::mt19937_64 chance_;
    std::vector<Unit> machines_;
    std::set<std::size_t> voters_, complete_;
    std::optional<std::size_t> leader_;
    std::priority_queue<std::pair<double, std::size_t>, std::vector<std::pair<double, std::size_t>>, std::greater<>>
        next_;
};

// Machines far worse than real ones, so that what is rare happens often enough to be counted.
Deployment bad(std::vector<double> servers, std::vector<double> witnesses, std::vector<double> proxies) {
    Deployment out;
    for (double const down : servers) out.servers.push_back({1, 3 * down});
    for (double const down : witnesses) out.witnesses.push_back({1, 3 * down});
    for (double const down : proxies) out.proxies.push_back({1, 3 * down});
    out.repair_hours = 6;
    out.failover_seconds = 0;  // the drawn years change leaders at once
    return out;
}

void agree(Deployment const& setup) {
    auto const counted = of(setup);
    auto const lived = Years(setup, 20'261'126).live(6'000'000);
    auto const near = [](double estimated, double seen, char const* what) {
        EXPECT_NEAR(estimated, seen, 0.04 * std::max(estimated, seen) + 1e-6) << what;
    };
    near(1 - counted.write_availability, lived.without_writes / lived.hours, "without writes");
    near(1 - counted.read_availability, lived.without_reads / lived.hours, "without reads");
    near(counted.failovers_year, lived.failovers / lived.hours * kYearHours, "changes of leader");
    near(counted.outages_year, (lived.failovers + lived.outages) / lived.hours * kYearHours, "outages");
}

TEST(Plan, AgreesWithYearsThatWereLived) {
    agree(bad({500}, {}, {}));
    agree(bad({500, 300}, {}, {}));
    agree(bad({600, 300, 400}, {}, {}));
    agree(bad({600, 300, 400}, {}, {200}));
    agree(bad({600, 500}, {400}, {400, 500}));
    agree(bad({600, 500, 700}, {400, 300}, {}));
    agree(bad({600, 500, 700, 400}, {}, {}));
    agree(bad({600, 500, 700, 400, 300}, {}, {}));
}

TEST(Plan, AgreesWhereWritesWait) {
    for (std::uint32_t const quorum : {1U, 2U}) {
        auto setup = bad({600, 300, 400}, {}, {});
        setup.mode = Mode::strict;
        setup.quorum = quorum;
        agree(setup);
    }
    auto two = bad({600, 500}, {400}, {});
    two.mode = Mode::strict;
    agree(two);
}

// ---- figures that can be counted by hand ---------------------------------------------------------------------------

TEST(Plan, OneServerIsDownAsLongAsItSays) {
    Deployment setup;
    setup.servers = {{45, 87.66}};
    auto const found = of(setup);
    EXPECT_NEAR(found.write_availability, 0.99, 1e-9);
    EXPECT_NEAR(found.nines, 2, 1e-6);
    EXPECT_NEAR(*found.mttr_minutes, 240, 1e-3);
    EXPECT_NEAR(*found.mtbf_hours, 396, 1e-3);
    EXPECT_EQ(found.failovers_year, 0);
}

TEST(Plan, ThreeServersAreDownWhenTwoAre) {
    auto setup = issue_example();
    setup.proxies.clear();
    setup.failover_seconds = 0;
    double const u = 8.8 / kYearHours;
    EXPECT_NEAR(1 - of(setup).write_availability, 3 * u * u * (1 - u) + u * u * u, 1e-12);
}

TEST(Plan, TheExampleOfThreeServersAndAProxy) {
    auto const found = of(issue_example());
    EXPECT_DOUBLE_EQ(found.price_month, 88);
    EXPECT_DOUBLE_EQ(*found.price_user_month, 0.88);
    EXPECT_DOUBLE_EQ(found.alone.extra_month, 43);
    EXPECT_GT(found.proxy_down_hours_year, 100 * found.cluster_down_hours_year);
    EXPECT_NE(render(found).find("the one proxy is the weakest part"), std::string::npos) << render(found);
    // Once its proxies run on the servers, it pays only where an hour is dear.
    auto without = issue_example();
    without.proxies.clear();
    auto const better = of(without);
    EXPECT_LT(better.write_down_hours_year, 0.1);
    EXPECT_NEAR(*better.alone.pays_from_hour_cost, 38 / (8.8 / 12), 0.5);
}

TEST(Plan, ARestoreOfTwoHoursTakesYearsOfAFourNinesBudget) {
    auto const found = of(issue_example());
    EXPECT_NEAR(found.budgets[2].minutes_year, 52.6, 0.1);
    EXPECT_NEAR(found.budgets[2].years_per_restore, 2.28, 0.01);
}

TEST(Plan, TwoServersAreNoBetterThanTheFirstAlone) {
    auto setup = issue_example();
    setup.servers.pop_back();
    setup.proxies.clear();
    EXPECT_NEAR(of(setup).write_down_hours_year, 8.8, 1e-6);
    setup.witnesses = {{5, 8.8}};
    EXPECT_LT(of(setup).write_down_hours_year, 0.1);
}

TEST(Plan, AMachineThatNeverBreaks) {
    Deployment setup;
    setup.servers = {{45, 0}, {23, 0}, {15, 0}};
    auto const found = of(setup);
    EXPECT_EQ(found.write_availability, 1);
    EXPECT_FALSE(found.mtbf_hours);
    EXPECT_NE(render(found).find("100 %"), std::string::npos);
}

TEST(Plan, AsyncLosesWhatItsStandbysLack) {
    auto setup = issue_example();
    EXPECT_EQ(of(setup).lost_seconds_year, 0);
    setup.mode = Mode::async;
    EXPECT_GT(of(setup).lost_seconds_year, 0);
}

TEST(Plan, WrongFiguresAreNamedAndMended) {
    auto const refused = [](auto change, char const* word) {
        auto setup = issue_example();
        change(setup);
        auto const found = estimate(setup);
        ASSERT_FALSE(found) << word;
        EXPECT_EQ(found.error().code, Code::invalid);
        EXPECT_FALSE(found.error().mend.empty());
        EXPECT_NE(found.error().text.find(word), std::string::npos) << found.error().text;
    };
    refused([](Deployment& s) { s.servers.clear(); }, "without a server");
    refused([](Deployment& s) { s.servers[1].price_month = -1; }, "server 2");
    refused([](Deployment& s) { s.servers[2].down_hours_year = 9000; }, "server 3");
    refused([](Deployment& s) { s.servers[0].price_month = std::nan(""); }, "server 1");
    refused([](Deployment& s) { s.servers.resize(8); }, "8 servers");
    refused([](Deployment& s) { s.repair_hours = 0; }, "repair");
    refused([](Deployment& s) { s.hour_down_cost = -28; }, "an hour down");
    refused([](Deployment& s) { s.users = -1; }, "users");
    refused([](Deployment& s) { s.quorum = 0; }, "quorum");
    refused([](Deployment& s) { s.mode = Mode::strict, s.quorum = 3; }, "never take a write");
}

TEST(Plan, MachinesAsTyped) {
    EXPECT_EQ(parse_machine("45")->price_month, 45);
    EXPECT_EQ(parse_machine("45")->down_hours_year, Machine{}.down_hours_year);
    EXPECT_EQ(parse_machine("45.5:12")->down_hours_year, 12);
    for (auto const* text : {"", ":", "45:", ":8", "-1", "45:-1", "nan", "inf", "45 ", "45:8:9", "1e999", "price"})
        EXPECT_FALSE(parse_machine(text)) << text;
}

TEST(Nines, AreNotRoundedUp) {
    EXPECT_EQ(percent_text(0.999), "99.900 %");
    EXPECT_EQ(percent_text(0.99999), "99.99900 %");
    EXPECT_EQ(percent_text(0.999999999), "99.999999900 %");
    EXPECT_EQ(percent_text(1), "100 %");
    EXPECT_EQ(percent_text(0), "0.0 %");
    EXPECT_DOUBLE_EQ(nines_of(1), 12);
    EXPECT_EQ(span_text(0.34), "340 ms");
    EXPECT_EQ(span_text(7200), "2.0 h");
}

}  // namespace
}  // namespace keel::availability
