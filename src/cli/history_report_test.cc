#include "cli/history_report.h"

#include <gtest/gtest.h>

namespace keel::cli {
namespace {

using availability::Cause;

constexpr std::int64_t kAt = 1'795'298'400'000;
constexpr char const* kEvil = "<script>alert('x')</script>\" onload=\"y & \x01z";

struct Case {
    std::vector<cluster::HistoryEvent> events;
    cluster::ClusterStatus status;
    availability::Ledger ledger;

    Case() {
        status.cluster = "shop";
        status.told_by = "cleo";
        status.unix_ms = kAt + 3'600'000;
        for (auto const* name : {"anna", "bela"}) {
            cluster::MemberStatus member;
            member.id = {std::string("id-") + name};
            member.name = name;
            status.members.push_back(member);
        }
        add(-90'000'000, 1, "anna", "leader", "anna leads epoch 1");
        add(-30'000, 1, "anna", "sync", "cleo is back");
        add(600, 2, "bela", "revoke", "anna is silent for 600 ms");
        add(620, 2, "bela", "appoint", "bela has the most WAL");
        add(1000, 2, "bela", "leader", "bela leads epoch 2");
        add(9'000'000, 2, "bela", "token", "much later");
        ledger.outages.push_back({kAt, kAt + 1000, 2, Cause::failover, "anna is silent for 600 ms",
                                  "detect 600 ms, decide 20 ms, promote 380 ms"});
    }
    void add(std::int64_t ms, std::uint64_t epoch, std::string const& node, char const* kind, std::string text) {
        events.push_back({events.size() + 1, kAt + ms, Epoch{epoch}, {"id-" + node}, kind, std::move(text)});
    }
    std::string page(std::uint64_t epoch = 0) const {
        auto const found = find_incident(events, status, ledger, epoch);
        EXPECT_TRUE(found) << to_string(found.error());
        return found ? render_html(*found) : std::string();
    }
};

TEST(Incident, TellsWhoTookOverWhyAndForHowLong) {
    auto const page = Case().page();
    for (auto const* text :
         {"bela took over from anna: writes were not possible for 1.0 s; nothing acknowledged is known",
          "anna is silent for 600 ms", "bela has the most WAL", "cleo is back", "Phases: 1000 ms",
          "failover: nobody had asked for it", "anna before, bela after", "</html>"})
        EXPECT_NE(page.find(text), std::string::npos) << text;
    EXPECT_EQ(page.find("much later"), std::string::npos);
    EXPECT_EQ(page.find("http"), page.find("http-equiv")) << "nothing from elsewhere";
}

TEST(Incident, ForeignTextIsTextEverywhere) {
    Case evil;
    evil.status.cluster = evil.status.told_by = kEvil;
    for (auto& member : evil.status.members) member.name = kEvil;
    for (auto& event : evil.events) {
        if (event.kind == "appoint") event.kind = kEvil;
        event.text = kEvil;
    }
    evil.add(1500, 2, kEvil, "loss", kEvil);
    evil.ledger.outages[0].why = kEvil;
    evil.ledger.outages[0].phases = std::string(kEvil) + " 5 ms, " + kEvil;
    auto const page = evil.page();
    EXPECT_EQ(page.find("<script"), std::string::npos);
    EXPECT_EQ(page.find("\" onload"), std::string::npos);
    EXPECT_EQ(page.find('\x01'), std::string::npos);
    EXPECT_NE(page.find("&lt;script&gt;alert(&#39;x&#39;)"), std::string::npos);
}

TEST(Incident, WhatWasLostIsSaidAndPaintedBad) {
    Case forced;
    forced.add(610, 2, "bela", "loss", "bela is chosen although commits may be missing");
    auto const page = forced.page();
    EXPECT_NE(page.find("verdict bad"), std::string::npos);
    EXPECT_NE(page.find("something was lost"), std::string::npos);
    EXPECT_EQ(Case().page().find("verdict bad"), std::string::npos);
    Case async;
    async.events[3].text = "bela is chosen; async: up to 812 bytes of the old primary's WAL are not on it";
    EXPECT_NE(async.page().find("verdict bad"), std::string::npos);
}

TEST(Incident, AnEpochThatNobodyBeganIsNoIncident) {
    Case calm;
    auto const other = find_incident(calm.events, calm.status, calm.ledger, 7);
    ASSERT_FALSE(other);
    EXPECT_EQ(other.error().code, Code::not_found);
    calm.ledger.outages.clear();
    EXPECT_FALSE(find_incident(calm.events, calm.status, calm.ledger, 0));
}

}  // namespace
}  // namespace keel::cli
