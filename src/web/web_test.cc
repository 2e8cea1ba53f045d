#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <sstream>

#include "web/actions.h"
#include "web/health.h"
#include "web/metrics.h"
#include "web/token.h"

namespace keel::web {
namespace {

using cluster::Server;
using cluster::Sight;
using cluster::State;
using testing::HasSubstr;

Instant const kNow = Instant{} + 1000s;

cluster::Record record() {
    cluster::Record out;
    out.name = "shop";
    out.leader = {"a"};
    out.members[{"a"}].name = "anna";
    out.members[{"b"}].name = "bela \"the\\first\"";
    out.members[{"c"}].name = "cleo";
    out.sync = {cluster::Mode::quorum, {{"b"}}, 1, {"a"}};
    return out;
}

Sight leader() {
    Sight sight;
    sight.self = {"a"};
    sight.name = "anna";
    sight.clock.now = kNow;
    sight.record = record();
    sight.opinion = {State::primary, "leads", kNow + 1s, {4}, false};
    sight.seen.server = Server::primary;
    sight.seen.flush = {100 << 20};
    cluster::Sender sender;
    sender.node = {"b"};
    sender.flush = {90 << 20};
    sight.seen.senders = {sender};
    sight.peers[{"b"}].heard = kNow - 100ms;
    return sight;
}

// `id` is "b" (in the sync set) or "c" (not), 20 MB behind.
Sight standby(std::string id) {
    Sight sight;
    sight.self = {id};
    sight.clock.now = kNow;
    sight.record = record();
    sight.opinion = {State::standby, "streams", {}, {4}, false};
    sight.seen.server = Server::recovery;
    sight.seen.receiver = sight.seen.streaming = true;
    sight.seen.replay = {80 << 20};
    sight.peers[{"a"}].heard = kNow;
    sight.peers[{"a"}].last.flush = {100 << 20};
    return sight;
}

int code(std::string const& path, std::map<std::string, std::string> const& query, Sight const& sight) {
    auto const health = health_of(path, query, sight);
    return !health ? 404 : health->good ? 200 : 503;
}

TEST(Health, each_endpoint_finds_its_nodes) {
    struct Row {
        char const* path;
        int leader, sync, async;
    };
    for (auto const& row : std::vector<Row>{{"/primary", 200, 503, 503},
                                            {"/leader", 200, 503, 503},
                                            {"/master", 200, 503, 503},
                                            {"/read-write", 200, 503, 503},
                                            {"/", 200, 503, 503},
                                            {"/replica", 503, 200, 200},
                                            {"/read-only", 200, 200, 200},
                                            {"/sync", 503, 200, 503},
                                            {"/synchronous", 503, 200, 503},
                                            {"/async", 503, 503, 200},
                                            {"/health", 200, 200, 200},
                                            {"/liveness", 200, 200, 200},
                                            {"/readiness", 200, 200, 200},
                                            {"/nothing", 404, 404, 404}}) {
        SCOPED_TRACE(row.path);
        EXPECT_EQ(code(row.path, {}, leader()), row.leader);
        EXPECT_EQ(code(row.path, {}, standby("b")), row.sync);
        EXPECT_EQ(code(row.path, {}, standby("c")), row.async);
    }
}

TEST(Health, a_standby_too_far_behind_gets_no_reads) {
    EXPECT_EQ(code("/replica", {{"lag", "10MB"}}, standby("b")), 503);
    EXPECT_EQ(code("/replica", {{"lag", "30MB"}}, standby("b")), 200);
    EXPECT_EQ(code("/replica", {{"lag", "20971520"}}, standby("b")), 200);
    EXPECT_EQ(code("/replica", {{"lag", "some"}}, standby("b")), 503);
    Sight deaf = standby("b");
    deaf.peers.clear();
    EXPECT_EQ(code("/replica", {{"lag", "30MB"}}, deaf), 503) << "an unknown lag is not a small one";
    EXPECT_EQ(code("/replica", {}, deaf), 200);
}

TEST(Health, a_leader_whose_lease_ran_out_is_none) {
    Sight sight = leader();
    sight.opinion.lease_deadline = kNow;
    EXPECT_EQ(code("/primary", {}, sight), 503);
    EXPECT_EQ(code("/read-only", {}, sight), 503);
}

TEST(Health, tags_keep_readers_away) {
    Sight sight = standby("c");
    sight.record->members[{"c"}].tags.noloadbalance = true;
    EXPECT_EQ(code("/replica", {}, sight), 503);
    Sight reports = standby("c");
    reports.record->members[{"c"}].tags.analytics = true;
    EXPECT_EQ(code("/replica", {}, reports), 503);
    EXPECT_EQ(code("/analytics", {}, reports), 200);
}

TEST(Metrics, every_family_is_described_once_and_no_series_comes_twice) {
    for (auto const& sight : {leader(), standby("b"), Sight{}}) {
        std::set<std::string> described, series;
        std::istringstream text(render_metrics(sight, {}, "0.1.0"));
        std::string family;
        for (std::string line; std::getline(text, line);) {
            if (line.starts_with("# TYPE ")) {
                family = line.substr(7, line.find(' ', 7) - 7);
                EXPECT_TRUE(described.insert(family).second) << family;
            } else if (!line.starts_with('#')) {
                EXPECT_TRUE(line.starts_with(family)) << line;
                EXPECT_TRUE(series.insert(line.substr(0, line.rfind(' '))).second) << line;
            }
        }
        EXPECT_GT(series.size(), 20U);
    }
}

TEST(Metrics, labels_are_escaped_and_an_idle_stage_has_no_lag_in_seconds) {
    auto const text = render_metrics(leader(), {}, "0.1.0");
    EXPECT_THAT(text, HasSubstr("pgkeel_leader 1\n"));
    EXPECT_THAT(
        text, HasSubstr("pgkeel_standby_lag_bytes{standby=\"bela \\\"the\\\\first\\\"\",stage=\"flush\"} 10485760\n"));
    EXPECT_THAT(text, testing::Not(HasSubstr("pgkeel_standby_lag_seconds{")));
    EXPECT_THAT(render_metrics(standby("b"), {}, "0.1.0"), HasSubstr("pgkeel_leader 0\n"));
}

TEST(Metrics, a_stage_that_has_all_lags_by_nothing_whatever_was_measured_last) {
    auto sight = leader();
    auto& sender = sight.seen.senders.at(0);
    sender.write = sender.flush = sight.seen.flush;
    sender.write_lag = 3s;
    sender.flush_lag = 5s;
    auto const lags = render_metrics(sight, {}, "0.1.0");
    EXPECT_THAT(lags, HasSubstr("stage=\"write\"} 0\n"));
    EXPECT_THAT(lags, HasSubstr("pgkeel_standby_caught_up{standby=\"bela \\\"the\\\\first\\\"\"} 0\n"));
    sender.write = sender.flush = sender.replay = Lsn{};
    sender.replay_lag = 9s;
    auto const parts = render_metrics(sight, {}, "0.1.0");
    EXPECT_THAT(parts, HasSubstr("part=\"network\"} 3\n"));
    EXPECT_THAT(parts, HasSubstr("part=\"flush\"} 2\n"));
    EXPECT_THAT(parts, HasSubstr("part=\"apply\"} 4\n"));
    sender.write = sender.flush = sender.replay = sight.seen.flush;
    EXPECT_THAT(render_metrics(sight, {}, "0.1.0"), HasSubstr("stage=\"replay\"} 0\n"));
}

TEST(Token, reads_what_it_writes_and_never_repeats_what_it_refuses) {
    TokenText const token{std::string(64, 'a'), Secret(std::string(48, '7'))};
    auto const back = parse_token(to_text(token) + "\n");
    ASSERT_TRUE(back) << back.error().text;
    EXPECT_EQ(back->authority_fingerprint, token.authority_fingerprint);
    EXPECT_EQ(back->secret.reveal(), token.secret.reveal());
    for (std::string const& wrong :
         std::vector<std::string>{"", "keel1.", "rubbish", "keel1.aaaa.7777", "keel2." + std::string(64, 'a')}) {
        auto const refused = parse_token(wrong);
        ASSERT_FALSE(refused);
        EXPECT_EQ(refused.error().code, Code::invalid);
        EXPECT_FALSE(refused.error().mend.empty());
    }
    EXPECT_FALSE(parse_token("keel1." + std::string(64, 'A') + "." + std::string(48, '7')));
    EXPECT_FALSE(parse_token("keel1." + std::string(64, 'a') + "." + std::string(4000, '7')));
}

TEST(Token, the_hash_is_sha_256) {  // FIPS 180-2, appendix B.1
    EXPECT_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Tags, are_set_by_their_text) {
    cluster::Tags tags;
    EXPECT_TRUE(set_tag(tags, "nofailover", "true"));
    EXPECT_TRUE(set_tag(tags, "priority", "-3"));
    EXPECT_TRUE(set_tag(tags, "domain", "rack 7"));
    EXPECT_TRUE(tags.nofailover);
    EXPECT_EQ(tags.priority, -3);
    EXPECT_EQ(tags.domain, "rack 7");
    EXPECT_THAT(set_tag(tags, "nosync", "yes").error().text, HasSubstr("true or false"));
    EXPECT_THAT(set_tag(tags, "priority", "high").error().text, HasSubstr("whole number"));
    EXPECT_THAT(set_tag(tags, "colour", "red").error().mend, HasSubstr("nofailover"));
}

TEST(Metrics, AvailabilityHasNoSampleWhereThereWasNoOutage) {
    availability::Ledger ledger = availability::ledger_of({}, {}, 1'795'298'400'000);
    auto const calm = render_availability(ledger);
    EXPECT_THAT(calm, HasSubstr("pgkeel_availability_ratio{window=\"30d\"} 1\n"));
    EXPECT_THAT(calm, HasSubstr("pgkeel_availability_down_now_seconds 0\n"));
    EXPECT_THAT(calm, testing::Not(HasSubstr("pgkeel_availability_mttr_seconds{")));
    ledger.down_since_ms = ledger.unix_ms - 2500;
    ledger.days30.mttr_seconds = 0.9;
    auto const down = render_availability(ledger);
    EXPECT_THAT(down, HasSubstr("pgkeel_availability_down_now_seconds 2.5\n"));
    EXPECT_THAT(down, HasSubstr("pgkeel_availability_mttr_seconds{window=\"30d\"} 0.9\n"));
}

}  // namespace
}  // namespace keel::web
