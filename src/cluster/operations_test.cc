#include "cluster/operations.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

namespace keel::cluster {
namespace {

using testing::HasSubstr;

Caller const kCaller{{"a"}, "an operator", 1'000'000};

Member data(std::string name) {
    Member out;
    out.name = name;
    out.peer = name + ":7432";
    out.api = name + ":8008";
    out.postgres = name + ":5432";
    return out;
}

Member witness(std::string name) {
    Member out = data(name);
    out.kind = Kind::witness;
    out.postgres.clear();
    return out;
}

// anna leads; bela and cleo stream; wanda votes.
Record cluster() {
    Record record;
    record.name = "shop";
    record.epoch = {4};
    record.leader = {"a"};
    record.members = {{{"a"}, data("anna")}, {{"b"}, data("bela")}, {{"c"}, data("cleo")}, {{"w"}, witness("wanda")}};
    record.voters = {{"a"}, {"b"}, {"c"}};
    record.sync = {Mode::quorum, {{"b"}, {"c"}}, 1, {"a"}};
    return record;
}

Tags delayed() {
    Tags tags;
    tags.delayed_s = 60;
    return tags;
}
Tags clone_of_dora() {
    Tags tags;
    tags.clonefrom = "dora";
    return tags;
}

View healthy() { return {{{"a"}, {"b"}, {"c"}, {"w"}}, {{"b"}, {"c"}}, true}; }
View leaderless() { return {{{"b"}, {"c"}, {"w"}}, {}, false}; }

struct Refusal {
    char const* sentence;
    std::function<Status(Record&)> ask;
    Code code;
    char const* text;
};

void expect_refused(std::vector<Refusal> const& rows) {
    for (auto const& row : rows) {
        SCOPED_TRACE(row.sentence);
        Record record = cluster();
        std::size_t const events = record.history.size();
        auto const status = row.ask(record);
        ASSERT_FALSE(status);
        EXPECT_EQ(status.error().code, row.code) << status.error().text;
        EXPECT_THAT(status.error().text, HasSubstr(row.text));
        EXPECT_EQ(record.history.size(), events);
        EXPECT_EQ(record.members.size(), 4U);
    }
}

TEST(Operations, a_refused_change_of_leader_says_why_and_changes_nothing) {
    std::vector<Refusal> const rows = {
        {"a switchover to the leader", [](Record& r) { return request_switchover(r, healthy(), {"anna", 0}, kCaller); },
         Code::conflict, "anna is the leader already"},
        {"a switchover to a witness", [](Record& r) { return request_switchover(r, healthy(), {"wanda", 0}, kCaller); },
         Code::unavailable, "wanda is a witness"},
        {"a switchover to somebody unknown names the members",
         [](Record& r) { return request_switchover(r, healthy(), {"dora", 0}, kCaller); }, Code::not_found,
         "there is no member \"dora\""},
        {"a switchover to a node that is never promoted",
         [](Record& r) {
             r.members[{"b"}].tags.nofailover = true;
             return request_switchover(r, healthy(), {"bela", 0}, kCaller);
         },
         Code::unavailable, "nofailover"},
        {"a switchover to a standby that does not stream",
         [](Record& r) {
             View view = healthy();
             view.streaming.erase({"b"});
             return request_switchover(r, view, {"bela", 0}, kCaller);
         },
         Code::unavailable, "bela does not stream"},
        {"a switchover in the past", [](Record& r) { return request_switchover(r, healthy(), {"", 999'999}, kCaller); },
         Code::invalid, "passed"},
        {"a switchover without a leader",
         [](Record& r) { return request_switchover(r, leaderless(), {"", 0}, kCaller); }, Code::unavailable,
         "anna does not answer"},
        {"a switchover during an election",
         [](Record& r) {
             r.phase = Phase::revoking;
             return request_switchover(r, healthy(), {"", 0}, kCaller);
         },
         Code::conflict, "an election is under way"},
        {"a second switchover",
         [](Record& r) {
             r.handover = Handover{};
             return request_switchover(r, healthy(), {"", 0}, kCaller);
         },
         Code::conflict, "planned or under way"},
        {"a failover of a leader that answers",
         [](Record& r) { return request_failover(r, healthy(), {"", true}, kCaller); }, Code::conflict,
         "anna leads and answers"},
        {"a failover without a majority, whatever loss is accepted",
         [](Record& r) { return request_failover(r, {{{"b"}, {"w"}}, {}, false}, {"", true}, kCaller); },
         Code::unavailable, "only 1 of 3 voters"},
    };
    expect_refused(rows);
}

TEST(Operations, a_refused_setting_or_member_says_why_and_changes_nothing) {
    std::vector<Refusal> const rows = {
        {"a resume of what is not paused", [](Record& r) { return resume(r, kCaller); }, Code::conflict, "not paused"},
        {"a strict quorum larger than the standbys",
         [](Record& r) {
             Settings next = r.settings;
             next.mode = Mode::strict;
             next.quorum = 3;
             return change_settings(r, next, "", kCaller);
         },
         Code::invalid, "every write would wait for ever"},
        {"a quorum larger than the standbys",
         [](Record& r) {
             Settings next = r.settings;
             next.quorum = 3;
             return change_settings(r, next, "", kCaller);
         },
         Code::invalid, "quorum 3 cannot be reached: the cluster has 2 standbys"},
        {"an eviction faster than the profile can see",
         [](Record& r) {
             Settings next = r.settings;
             next.profile = Profile::wan;
             next.evict_after_ms = 1000;
             return change_settings(r, next, "", kCaller);
         },
         Code::invalid, "shorter than two heartbeats"},
        {"a second node with the same name", [](Record& r) { return add_member(r, {"d"}, data("bela"), kCaller); },
         Code::conflict, "a member named bela"},
        {"a second node with the same address",
         [](Record& r) {
             Member twin = data("dora");
             twin.postgres = "bela:5432";
             return add_member(r, {"d"}, twin, kCaller);
         },
         Code::conflict, "bela has one of these addresses"},
    };
    expect_refused(rows);
}

TEST(Operations, a_refused_leave_or_errand_says_why_and_changes_nothing) {
    std::vector<Refusal> const rows = {
        {"the leader leaves", [](Record& r) { return request_leave(r, healthy(), {"a"}, kCaller); }, Code::conflict,
         "anna is the leader"},
        {"an unknown member leaves", [](Record& r) { return request_leave(r, healthy(), {"x"}, kCaller); },
         Code::not_found, "not a member"},
        {"a member leaves that the quorum needs",
         [](Record& r) {
             r.settings.quorum = 2;
             return request_leave(r, healthy(), {"b"}, kCaller);
         },
         Code::invalid, "without bela: quorum 2 cannot be reached"},
        {"nobody there to take a member out", [](Record& r) { return request_leave(r, leaderless(), {"b"}, kCaller); },
         Code::unavailable, "no leader"},
        {"a reinit of the leader", [](Record& r) { return request_reinit(r, healthy(), {"a"}, kCaller); },
         Code::conflict, "anna is the leader"},
        {"a restart of the leader while a standby could take over",
         [](Record& r) { return request_restart(r, healthy(), {"a"}, kCaller); }, Code::conflict, "anna is the leader"},
        {"a restart of a witness", [](Record& r) { return request_restart(r, healthy(), {"w"}, kCaller); },
         Code::invalid, "witness"},
        {"a restart of a node that is off",
         [](Record& r) { return request_restart(r, {{{"a"}}, {}, true}, {"b"}, kCaller); }, Code::unavailable,
         "bela does not answer"},
        {"a restart on top of another errand",
         [](Record& r) {
             r.errands[{"b"}] = {1, Work::reinit, 0, ""};
             return request_restart(r, healthy(), {"b"}, kCaller);
         },
         Code::conflict, "a reinit of bela is under way"},
        {"a leader that is to be delayed", [](Record& r) { return change_tags(r, {"a"}, delayed(), kCaller); },
         Code::conflict, "anna leads"},
        {"a clone from a stranger", [](Record& r) { return change_tags(r, {"b"}, clone_of_dora(), kCaller); },
         Code::not_found, "dora"},
    };
    expect_refused(rows);
}

TEST(Operations, a_refused_token_says_why_and_changes_nothing) {
    JoinToken const token{"t", std::string(64, 'a'), Kind::data, 2'000'000, 1, ""};
    std::vector<Refusal> const rows = {
        {"an unknown token", [](Record& r) { return consume_token(r, std::string(64, 'b'), Kind::data, kCaller); },
         Code::denied, "not known"},
        {"an expired token",
         [=](Record& r) {
             r.tokens = {token};
             r.tokens[0].expires_unix_ms = kCaller.unix_ms;
             return consume_token(r, token.sha256, Kind::data, kCaller);
         },
         Code::denied, "expired"},
        {"a token for a witness used by a data node",
         [=](Record& r) {
             r.tokens = {token};
             r.tokens[0].kind = Kind::witness;
             return consume_token(r, token.sha256, Kind::data, kCaller);
         },
         Code::denied, "for a witness"},
    };
    expect_refused(rows);
}

TEST(Operations, the_longest_profile_ever_set_is_remembered) {
    Record record = cluster();
    Settings next = record.settings;
    next.profile = Profile::wan;
    ASSERT_TRUE(change_settings(record, next, "profile", kCaller));
    next.profile = Profile::lan;
    ASSERT_TRUE(change_settings(record, next, "profile", kCaller));
    EXPECT_EQ(longest_lease(record), timing(Profile::wan).lease);
}

TEST(Operations, a_switchover_names_its_target_and_who_asked) {
    Record record = cluster();
    ASSERT_TRUE(request_switchover(record, healthy(), {"bela", 0}, kCaller));
    EXPECT_EQ(record.handover->target, NodeId{"b"});
    EXPECT_EQ(record.history.back().text, "switchover from anna to bela asked for, by an operator");
    ASSERT_TRUE(cancel_switchover(record, kCaller));
    EXPECT_FALSE(record.handover);
}

TEST(Operations, a_planned_switchover_does_not_need_its_target_to_stream_yet) {
    Record record = cluster();
    View view = healthy();
    view.streaming.clear();
    ASSERT_TRUE(request_switchover(record, view, {"bela", 5'000'000}, kCaller));
    EXPECT_EQ(record.handover->at_unix_ms, 5'000'000);
}

TEST(Operations, a_forced_failover_is_recorded_as_a_possible_loss) {
    Record record = cluster();
    ASSERT_TRUE(request_failover(record, leaderless(), {"cleo", true}, kCaller));
    EXPECT_TRUE(record.handover->accept_data_loss);
    EXPECT_EQ(record.history.back().kind, "loss");
}

TEST(Operations, only_the_only_data_node_restarts_in_place_as_the_leader) {
    Record record = cluster();
    record.members.erase({"b"});
    record.members.erase({"c"});
    ASSERT_TRUE(request_restart(record, healthy(), {"a"}, kCaller));
    auto const number = record.errands.at({"a"}).number;
    finish_errand(record, {"a"}, number + 1, "", kCaller);
    EXPECT_TRUE(record.errands.contains({"a"})) << "another errand's end must not end this one";
    finish_errand(record, {"a"}, number, "", kCaller);
    EXPECT_FALSE(record.errands.contains({"a"}));
    EXPECT_EQ(record.history.back().text, "restart of anna is done, by an operator");
}

TEST(Operations, a_member_that_joins_again_keeps_its_place_and_gets_the_new_addresses) {
    Record record = cluster();
    Member moved = data("bela");
    moved.peer = "10.0.0.9:7432";
    record.members[{"b"}].broken = "its promotion stalled";
    ASSERT_TRUE(add_member(record, {"b"}, moved, kCaller));
    EXPECT_EQ(record.members.at({"b"}).peer, "10.0.0.9:7432");
    EXPECT_EQ(record.members.at({"b"}).broken, "its promotion stalled");
    EXPECT_EQ(record.members.size(), 4U);
}

TEST(Operations, a_token_is_worth_its_uses_and_no_more) {
    Record record = cluster();
    JoinToken const token{"aaaa", std::string(64, 'a'), Kind::data, 2'000'000, 2, "an operator"};
    ASSERT_TRUE(add_token(record, token, kCaller));
    EXPECT_TRUE(consume_token(record, token.sha256, Kind::data, kCaller));
    EXPECT_TRUE(consume_token(record, token.sha256, Kind::data, kCaller));
    EXPECT_FALSE(consume_token(record, token.sha256, Kind::data, kCaller));
    EXPECT_TRUE(record.tokens.empty());
}

TEST(Operations, a_member_is_found_by_name_id_or_the_beginning_of_its_id) {
    Record record = cluster();
    record.members[{"01234567"}] = data("dora");
    record.members[{"01239999"}] = data("emma");
    EXPECT_EQ(find_member(record, "dora").value(), NodeId{"01234567"});
    EXPECT_EQ(find_member(record, "01234").value(), NodeId{"01234567"});
    EXPECT_FALSE(find_member(record, "0123")) << "two ids begin so";
    EXPECT_THAT(find_member(record, "zoe").error().mend, HasSubstr("anna, bela, cleo"));
}

TEST(Operations, a_token_lets_in_what_gets_less) {
    auto const admits = [](Kind token, Kind kind) {
        Record record = cluster();
        record.tokens = {{"t", std::string(64, 'a'), token, 2'000'000, 1, ""}};
        return consume_token(record, record.tokens[0].sha256, kind, kCaller).has_value();
    };
    for (auto const kind : {Kind::data, Kind::witness, Kind::proxy}) EXPECT_TRUE(admits(Kind::data, kind));
    EXPECT_FALSE(admits(Kind::witness, Kind::data));
    EXPECT_TRUE(admits(Kind::witness, Kind::proxy));
    EXPECT_FALSE(admits(Kind::proxy, Kind::data));
    EXPECT_FALSE(admits(Kind::proxy, Kind::witness));
    EXPECT_TRUE(admits(Kind::proxy, Kind::proxy));
}

TEST(Operations, a_proxy_host_comes_and_goes_and_is_no_member) {
    Record record = cluster();
    ASSERT_TRUE(add_proxy(record, {"p"}, "app1", kCaller));
    EXPECT_EQ(record.history.back().text, "proxy host app1 joined, by an operator");
    EXPECT_EQ(add_proxy(record, {"q"}, "app1", kCaller).error().code, Code::conflict);
    EXPECT_EQ(add_proxy(record, {"p"}, "app2", kCaller).error().code, Code::conflict);
    EXPECT_EQ(add_proxy(record, {"a"}, "app2", kCaller).error().code, Code::conflict);
    Member member = data("dora");
    EXPECT_EQ(add_member(record, {"p"}, member, kCaller).error().code, Code::invalid);
    member.kind = Kind::proxy;
    EXPECT_EQ(add_member(record, {"d"}, member, kCaller).error().code, Code::invalid);
    auto const read = decode_record(encode(record));
    ASSERT_TRUE(read);
    EXPECT_EQ(read->proxies.at({"p"}).name, "app1");
    EXPECT_THAT(remove_proxy(record, "app2", kCaller).error().mend, HasSubstr("there are: app1"));
    EXPECT_TRUE(remove_proxy(record, "app1", kCaller));
    EXPECT_TRUE(record.proxies.empty());
    for (int i = 0; i < 100; ++i)
        ASSERT_TRUE(add_proxy(record, {"p" + std::to_string(i)}, "app" + std::to_string(i), kCaller));
    EXPECT_EQ(add_proxy(record, {"q"}, "one-more", kCaller).error().code, Code::exhausted);
}

TEST(Operations, tokens_and_errands_survive_the_codec) {
    Record record = cluster();
    ASSERT_TRUE(add_token(record, {"aaaa", std::string(64, 'a'), Kind::witness, 2'000'000, 2, "x"}, kCaller));
    ASSERT_TRUE(request_reinit(record, healthy(), {"b"}, kCaller));
    auto const back = decode_record(encode(record));
    ASSERT_TRUE(back) << back.error().text;
    EXPECT_EQ(encode(*back), encode(record));
    EXPECT_EQ(back->errands.at({"b"}).work, Work::reinit);
}

TEST(Access, IsMadeFoundAndRemovedAndTheHistorySaysByWhom) {
    Record record = cluster();
    Access const ci{"ci", std::string(64, '1'), Role::operate, 2'000'000, "an operator"};
    ASSERT_TRUE(add_access(record, ci, kCaller));
    EXPECT_EQ(record.history.back().text, "access token ci with role operate made, by an operator");
    EXPECT_EQ(add_access(record, ci, kCaller).error().code, Code::conflict);
    EXPECT_EQ(find_access(record, std::string(64, '1'), 1'999'999)->role, Role::operate);
    EXPECT_EQ(find_access(record, std::string(64, '1'), 2'000'000).error().text, "access token ci has expired");
    EXPECT_EQ(find_access(record, std::string(64, '2'), 1).error().code, Code::denied);
    EXPECT_EQ(find_access(record, "", 1).error().code, Code::denied);
    Caller const later{{"a"}, "anna", 2'000'001};
    EXPECT_TRUE(add_access(record, {"ci", std::string(64, '3'), Role::read, 0, "x"}, later))
        << "an expired one is gone";
    EXPECT_EQ(record.access.size(), 1U);
    EXPECT_EQ(remove_access(record, "nobody", later).error().code, Code::not_found);
    ASSERT_TRUE(remove_access(record, "ci", later));
    EXPECT_EQ(record.history.back().text, "access token ci removed, by anna");
    EXPECT_FALSE(find_access(record, std::string(64, '3'), 1));
}

TEST(Access, ARecordOfAnOlderVersionHasNone) {
    auto text = encode(cluster());
    auto const at = text.find("\"access\":[],");
    ASSERT_NE(at, std::string::npos);
    text.erase(at, std::string_view("\"access\":[],").size());
    auto const back = decode_record(text);
    ASSERT_TRUE(back) << back.error().text;
    EXPECT_TRUE(back->access.empty());
}

}  // namespace
}  // namespace keel::cluster
