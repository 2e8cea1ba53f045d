// When a drill is refused, what it says beforehand, and its report from recorded runs.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "base/json.h"
#include "cli/drill_report.h"

namespace keel::cli::drill {
namespace {

using cluster::ClusterStatus;
using cluster::MemberStatus;
using cluster::Mode;

// anna leads; bela and cleo stream and are in the sync set.
ClusterStatus whole() {
    ClusterStatus status;
    status.cluster = "shop";
    status.member = true;
    status.leader = status.told_by = "anna";
    status.leader_alive = true;
    status.epoch = Epoch{4};
    status.voters = status.voters_alive = 3;
    for (auto const* name : {"anna", "bela", "cleo"}) {
        MemberStatus member;
        member.id = NodeId{name};
        member.name = name;
        member.healthy = true;
        member.streaming = member.in_sync_set = status.leader != name;
        if (member.in_sync_set) status.sync.members.insert(member.id);
        status.members.push_back(member);
    }
    return status;
}

MemberStatus& named(ClusterStatus& status, std::string const& name) {
    return *std::ranges::find(status.members, name, &MemberStatus::name);
}

struct Case {
    char const* sentence;
    std::function<void(ClusterStatus&, Order&)> change;
    char const* reason;  // part of an objection; empty: none is expected
};

void expect_objections(std::vector<Case> const& cases) {
    for (auto const& one : cases) {
        auto status = whole();
        Order order{Fault::switchover, "", "anna", false};
        one.change(status, order);
        auto const wrong = objections(status, order);
        std::string all;
        for (auto const& error : wrong) {
            EXPECT_FALSE(error.mend.empty()) << one.sentence << ": " << error.text;
            all += error.text + "\n";
        }
        if (*one.reason == '\0')
            EXPECT_EQ(all, "") << one.sentence;
        else
            EXPECT_NE(all.find(one.reason), std::string::npos) << one.sentence << ": " << all;
    }
}

TEST(Preflight, RefusesWhatIsNotWholeAndSaysWhy) {
    std::vector<Case> const cases = {
        {"a whole cluster may drill", [](auto&, auto&) {}, ""},
        {"a node without a cluster", [](auto& s, auto&) { s.member = false; }, "knows no cluster"},
        {"an election", [](auto& s, auto&) { s.phase = cluster::Phase::revoking; }, "election is under way"},
        {"no leader", [](auto& s, auto&) { s.leader.clear(); }, "nobody leads"},
        {"a silent leader", [](auto& s, auto&) { s.leader_alive = false; }, "anna does not answer"},
        {"a pause", [](auto& s, auto&) { s.paused = true; }, "paused"},
        {"a switchover that is planned", [](auto& s, auto&) { s.handover = "to bela"; }, "switchover is asked for"},
        {"a store in trouble", [](auto& s, auto&) { s.store_trouble = "no majority"; }, "store does not answer"},
        {"a voter that is not heard", [](auto& s, auto&) { s.voters_alive = 2; }, "2 of 3 voters"},
        {"a standby that does not stream",
         [](auto& s, auto&) {
             named(s, "bela").healthy = named(s, "bela").streaming = false;
             named(s, "bela").problem = "does not stream";
         },
         "bela is not well: does not stream"},
        {"a member that leaves", [](auto& s, auto&) { named(s, "cleo").leaving = true; }, "cleo is leaving"},
        {"a member that is restarted", [](auto& s, auto&) { named(s, "cleo").errand = "restart"; }, "restart"},
        {"a standby outside the sync set", [](auto& s, auto&) { named(s, "cleo").in_sync_set = false; },
         "cleo streams, but is not in the sync set"},
        {"one that never is in the sync set is no reason",
         [](auto& s, auto&) {
             named(s, "cleo").in_sync_set = false;
             named(s, "cleo").tags.nosync = true;
         },
         ""},
        {"in async nobody need be in the sync set",
         [](auto& s, auto&) {
             s.mode = Mode::async;
             named(s, "bela").in_sync_set = named(s, "cleo").in_sync_set = false;
         },
         ""},
        {"fewer synchronous standbys than asked for", [](auto& s, auto&) { s.quorum = 2; }, "1 of the 2 standbys"},
    };
    expect_objections(cases);
}

TEST(Preflight, RefusesWhatThisClusterCannotDoFromHere) {
    std::vector<Case> const cases = {
        {"nobody who may be promoted",
         [](auto& s, auto&) { named(s, "bela").tags.nofailover = named(s, "cleo").tags.nofailover = true; },
         "nobody could take over from anna"},
        {"a target that may not lead",
         [](auto& s, auto& o) {
             named(s, "bela").tags.nofailover = true;
             o.target = "bela";
         },
         "bela cannot take over"},
        {"a target that is good", [](auto&, auto& o) { o.target = "bela"; }, ""},
        {"a target that leads", [](auto&, auto& o) { o.target = "anna"; }, "anna leads already"},
        {"a kill away from the primary",
         [](auto&, auto& o) {
             o.self = "bela";
             o.fault = Fault::postmaster;
             o.own_role = true;
         },
         "anna is the primary, and this node is bela"},
        {"pgkeel's role away from the primary", [](auto&, auto& o) { o.self = "bela"; }, "make its schema"},
        {"an own role away from the primary",
         [](auto&, auto& o) {
             o.self = "bela";
             o.own_role = true;
         },
         ""},
        {"two voters survive no node's death",
         [](auto& s, auto& o) {
             s.voters = s.voters_alive = 2;
             o.fault = Fault::node;
         },
         "no majority"},
        {"two voters survive a postmaster's death",
         [](auto& s, auto& o) {
             s.voters = s.voters_alive = 2;
             o.fault = Fault::postmaster;
         },
         ""},
    };
    expect_objections(cases);
}

TEST(Preflight, SaysEveryReasonAtOnce) {
    auto status = whole();
    status.paused = true;
    named(status, "bela").healthy = false;
    EXPECT_GE(objections(status, {Fault::switchover, "", "anna", false}).size(), 2U);
}

TEST(Risk, FollowsTheMode) {
    auto status = whole();
    auto const said = [&](Fault fault) { return fmt::format("{}", fmt::join(risks(status, fault), "\n")); };
    EXPECT_NE(said(Fault::postmaster).find("no acknowledged commit: the mode is quorum"), std::string::npos);
    EXPECT_NE(said(Fault::node).find("stays away until"), std::string::npos);
    EXPECT_EQ(said(Fault::node).find("no second copy"), std::string::npos);
    status.mode = Mode::async;
    EXPECT_NE(said(Fault::postmaster).find("ACKNOWLEDGED COMMITS"), std::string::npos);
    EXPECT_EQ(said(Fault::switchover).find("ACKNOWLEDGED COMMITS"), std::string::npos) << "it ends in order";
    status.mode = Mode::strict;
    status.members.pop_back();
    EXPECT_NE(said(Fault::node).find("writes wait until anna is back"), std::string::npos);
    EXPECT_NE(said(Fault::node).find("no second copy"), std::string::npos);
}

TEST(Plan, NamesTheProcesses) {
    Order const order{Fault::node, "", "anna", false};
    Plan plan{"shop",           "anna",     "quorum", "node", "", {{11, "node"}, {12, "agent"}},
              {"bela", "cleo"}, {"a", "b"}, "rows",   {}};
    plan.action = fault_text(order, "anna", plan.processes);
    auto const text = render(plan);
    EXPECT_NE(text.find("SIGKILL to all 2 processes of anna"), std::string::npos) << text;
    EXPECT_NE(text.find("12 agent"), std::string::npos) << text;
    EXPECT_NE(text.find("bela or cleo may take over"), std::string::npos) << text;
    EXPECT_NE(text.find("all passed"), std::string::npos) << text;
    plan.objections = {"paused (mend: pgkeel resume)"};
    EXPECT_NE(render(plan).find("refused    paused"), std::string::npos) << render(plan);
    EXPECT_EQ(render(plan).find("all passed"), std::string::npos);
}

Instant at(int ms) { return Instant{} + std::chrono::hours(1) + std::chrono::milliseconds(ms); }

TEST(Sightings, AreTheFirstOfEachAndWholenessMustLast) {
    auto const before = whole();
    Sightings seen;
    see(seen, {{"anna", {before, at(10)}}, {"bela", {before, at(10)}}}, before, Fault::postmaster);
    EXPECT_FALSE(seen.noticed);
    EXPECT_FALSE(seen.whole) << "that is the reign before the fault";
    auto electing = before;
    electing.phase = cluster::Phase::revoking;
    electing.epoch = Epoch{5};
    see(seen, {{"bela", {electing, at(20)}}}, before, Fault::postmaster);
    EXPECT_EQ(seen.noticed, at(20));
    EXPECT_EQ(seen.epoch_taken, at(20));
    auto led = whole();
    led.epoch = Epoch{5};
    led.leader = "bela";
    named(led, "bela").streaming = false;
    named(led, "anna").healthy = false;
    see(seen, {{"cleo", {led, at(30)}}}, before, Fault::postmaster);
    EXPECT_FALSE(seen.promoted) << "only the leader itself knows that it reigns";
    see(seen, {{"bela", {led, at(40)}}}, before, Fault::postmaster);
    EXPECT_EQ(seen.promoted, at(40));
    EXPECT_FALSE(seen.whole);
    named(led, "anna").healthy = named(led, "anna").streaming = named(led, "anna").in_sync_set = true;
    see(seen, {{"bela", {led, at(50)}}}, before, Fault::postmaster);
    EXPECT_EQ(seen.whole, at(50));
    see(seen, {{"bela", {led, at(60)}}}, before, Fault::postmaster);
    EXPECT_EQ(seen.whole, at(50));
    see(seen, {{"bela", {electing, at(70)}}}, before, Fault::postmaster);
    EXPECT_FALSE(seen.whole);
}

TEST(Sightings, AnAgentMayComeBackIntoItsOwnReign) {
    Sightings seen;
    see(seen, {{"anna", {whole(), at(10)}}}, whole(), Fault::agent);
    EXPECT_EQ(seen.whole, at(10));
    EXPECT_FALSE(seen.epoch_taken);
}

Report begun() {
    Report report;
    report.cluster = "shop";
    report.mode = "quorum";
    report.node = report.leader_before = "anna";
    report.leader_after = "bela";
    report.epoch_before = 4;
    report.epoch_after = 5;
    report.fault = "postmaster";
    report.action = "SIGKILL to process 11, the postmaster of anna, the primary";
    report.killed = {{11, "postmaster"}};
    report.fault_unix_ms = 1'795'298'400'000;
    report.whole = report.schema_dropped = true;
    report.history = {"bela leads epoch 5"};
    return report;
}

Recorded recorded() {
    Recorded out;
    out.fault = at(1000);
    out.sightings = {at(1200), at(1500), at(1700), at(3000)};
    out.ledger.acknowledged = {1, 2, 3};
    out.ledger.unknown = {4};
    out.ledger.refused = 1;
    out.ledger.write_moments = {at(980), at(990), at(1790)};
    out.ledger.read_moments = {at(995), at(1010), at(1020)};
    out.audit = compare(out.ledger, {1, 2, 3, 4});
    out.moments = {{at(500), "drill", "before"}, {at(1100), "bela", "standby: waits"}};
    return out;
}

TEST(Report, OfARunThatLostNothing) {
    auto report = begun();
    conclude(report, recorded());
    EXPECT_EQ(report.verdict, Verdict::good);
    EXPECT_EQ(report.write_outage_ms, 800);
    EXPECT_EQ(report.read_outage_ms, 15);
    ASSERT_EQ(report.phases.size(), 6U);
    std::vector<std::string> names;
    for (auto const& phase : report.phases) names.push_back(phase.who);
    EXPECT_EQ(names, (std::vector<std::string>{"fault", "noticed", "epoch_taken", "promoted", "writes_again",
                                               "redundancy_restored"}));
    EXPECT_EQ(report.phases[4].ms, 790);
    ASSERT_EQ(report.story.size(), 1U) << "what was before the fault is not part of it";
    auto const text = render_text(report);
    for (auto const* part :
         {"writes interrupted    800 ms", "3 checked one by one on bela, lost: 0",
          "outcome unknown       1 (COMMIT was on its way): 1 stored, 0 not", "refused               1",
          "redundancy_restored", "bela leads epoch 5", "Verdict: nothing that was acknowledged"})
        EXPECT_NE(text.find(part), std::string::npos) << part << "\n" << text;
    EXPECT_EQ(text.find("left behind"), std::string::npos);
}

TEST(Report, FirstSaysWhatIsLost) {
    auto report = begun();
    auto run = recorded();
    run.audit = compare(run.ledger, {1, 3});
    run.interrupted = true;
    report.mode = "async";
    conclude(report, run);
    EXPECT_EQ(report.verdict, Verdict::lost) << "whoever ended it";
    EXPECT_EQ(report.lost_numbers, (std::vector<std::int64_t>{2}));
    EXPECT_NE(report.sentence.find("1 of 3 acknowledged writes are missing"), std::string::npos);
    EXPECT_NE(report.sentence.find("async promises nothing"), std::string::npos);
    EXPECT_NE(render_text(report).find("LOST                  write 2"), std::string::npos);
}

TEST(Report, IsNotGoodForLess) {
    auto const verdict_of = [](std::function<void(Report&, Recorded&)> change) {
        auto report = begun();
        auto run = recorded();
        change(report, run);
        conclude(report, run);
        return report.verdict;
    };
    EXPECT_EQ(verdict_of([](auto& r, auto&) { r.whole = false; }), Verdict::not_whole);
    EXPECT_EQ(verdict_of([](auto&, auto& run) { run.audit.reset(); }), Verdict::unchecked);
    EXPECT_EQ(verdict_of([](auto&, auto& run) { run.interrupted = true; }), Verdict::interrupted);
    EXPECT_EQ(verdict_of([](auto&, auto& run) { run.audit->foreign = 1; }), Verdict::lost);
}

TEST(Report, AnOutageWithoutAnEndIsNoNumber) {
    auto report = begun();
    auto run = recorded();
    run.ledger.write_moments = {at(980), at(990)};
    conclude(report, run);
    EXPECT_FALSE(report.write_outage_ms);
    EXPECT_NE(render_text(report).find("writes interrupted    no answer after the fault"), std::string::npos);
    EXPECT_NE(json::write(report).find("\"write_outage_ms\":null"), std::string::npos);
}

TEST(Report, ComesBackFromItsJson) {
    auto report = begun();
    conclude(report, recorded());
    auto const back = json::read<Report>(json::write(report));
    ASSERT_TRUE(back) << to_string(back.error());
    EXPECT_EQ(json::write(*back), json::write(report));
    EXPECT_EQ(render_text(*back), render_text(report));
    EXPECT_NE(json::write(report).find("\"verdict\":\"good\""), std::string::npos);
}

TEST(Page, StandsAloneAndEscapesEveryText) {
    auto report = begun();
    std::string const evil = "<script>alert('x')</script>\"&";
    report.cluster = report.node = report.mode = report.fault = report.leader_after = report.action = evil;
    report.history = report.not_whole = {evil};
    report.killed = {{1, evil}};
    report.whole = report.schema_dropped = false;
    auto run = recorded();
    run.moments.push_back({at(1200), evil, evil});
    conclude(report, run);
    auto const page = render_html(report);
    EXPECT_EQ(page.find("<script"), std::string::npos);
    EXPECT_EQ(page.find("alert('"), std::string::npos);
    EXPECT_NE(page.find("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&quot;&amp;"), std::string::npos);
    for (auto const* foreign : {"http:", "https:", "src=", "href=", "url(", "@import"})
        EXPECT_EQ(page.find(foreign), std::string::npos) << foreign;
    EXPECT_NE(page.find("prefers-color-scheme: dark"), std::string::npos);
    EXPECT_NE(page.find("class=\"verdict bad\""), std::string::npos);
    EXPECT_TRUE(page.starts_with("<!doctype html>"));
    EXPECT_TRUE(page.ends_with("</html>\n"));
}

TEST(Books, AreComparedWriteByWrite) {
    Ledger ledger;
    ledger.acknowledged = {1, 2, 3};
    ledger.unknown = {4, 5};
    auto const audit = compare(ledger, {1, 3, 5, 9});
    EXPECT_EQ(audit.lost, (std::vector<std::int64_t>{2}));
    EXPECT_EQ(audit.unknown_stored, 1U);
    EXPECT_EQ(audit.unknown_absent, 1U);
    EXPECT_EQ(audit.foreign, 1U);
    EXPECT_FALSE(audit.good());
}

}  // namespace
}  // namespace keel::cli::drill
