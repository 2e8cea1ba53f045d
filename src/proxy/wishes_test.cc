#include "proxy/wishes.h"

#include <gtest/gtest.h>

namespace keel::proxy {
namespace {

TEST(Wishes, AreReadFromTheSession) {
    auto const none = wishes_of({}, Causal::global);
    EXPECT_EQ(none.route, Route::auto_);
    EXPECT_EQ(none.causal, Causal::global) << "what the configuration says";
    EXPECT_FALSE(none.min_lsn.is_set());
    EXPECT_EQ(none.complaint, "");
    auto const all = wishes_of({{"keel.route", "replica"},
                                {"keel.causal_reads", "off"},
                                {"keel.min_lsn", "2:0/10"},
                                {"default_transaction_isolation", "serializable"}},
                               Causal::session);
    EXPECT_EQ(all.route, Route::replica);
    EXPECT_EQ(all.causal, Causal::off);
    EXPECT_EQ(all.min_lsn, (Token{Timeline{2}, Lsn{16}}));
    EXPECT_TRUE(all.serializable);
    EXPECT_EQ(all.complaint, "");
}

TEST(Wishes, WhatIsNotUnderstoodIsSaidAndTheSafeThingIsDone) {
    auto const route = wishes_of({{"keel.route", "standby"}}, Causal::session);
    EXPECT_EQ(route.route, Route::auto_);
    EXPECT_NE(route.complaint.find("keel.route = \"standby\""), std::string::npos);
    auto const causal = wishes_of({{"keel.causal_reads", "always"}}, Causal::session);
    EXPECT_EQ(causal.causal, Causal::session);
    EXPECT_NE(causal.complaint, "");
    auto const lsn = wishes_of({{"keel.min_lsn", "0/10"}, {"keel.route", "replica"}}, Causal::session);
    EXPECT_EQ(lsn.route, Route::primary) << "the primary has whatever was meant";
    EXPECT_NE(lsn.complaint, "");
    EXPECT_EQ(wishes_of({{"keel.min_lsn", ""}}, Causal::session).complaint, "");
    auto const monotonic = wishes_of({{"keel.monotonic_reads", "true"}}, Causal::session);
    EXPECT_TRUE(monotonic.monotonic);
    EXPECT_NE(monotonic.complaint, "");
    EXPECT_TRUE(wishes_of({{"keel.monotonic_reads", "on"}}, Causal::session).monotonic);
    EXPECT_TRUE(wishes_of({}, Causal::session, true).monotonic) << "what the configuration says";
    EXPECT_FALSE(wishes_of({{"keel.monotonic_reads", "off"}}, Causal::session, true).monotonic);
}

}  // namespace
}  // namespace keel::proxy
