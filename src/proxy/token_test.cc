#include "proxy/token.h"

#include <gtest/gtest.h>

namespace keel::proxy {
namespace {

Token token(std::uint32_t timeline, std::uint64_t lsn) { return {Timeline{timeline}, Lsn{lsn}}; }

TEST(Tokens, AreTextAndBack) {
    EXPECT_EQ(to_string(token(3, 0x16B374D848)), "3:16/B374D848");
    EXPECT_EQ(parse_token("3:16/B374D848"), token(3, 0x16B374D848));
    EXPECT_EQ(to_string(Token{}), "");
    for (char const* bad :
         {"", "3", "3:", ":0/1", "0:0/1", "x:0/1", "3:0-1", "3 :0/1", "-1:0/1", "3:0/1 ", "4294967296:0/1"})
        EXPECT_EQ(parse_token(bad), std::nullopt) << bad;
}

TEST(Tokens, TheLaterOneImpliesTheOther) {
    EXPECT_EQ(later(token(1, 90), token(1, 80)), token(1, 90));
    EXPECT_EQ(later(token(1, 90), token(2, 80)), token(2, 80)) << "positions of two timelines are not compared";
    EXPECT_EQ(later(Token{}, token(1, 1)), token(1, 1));
}

TEST(Tokens, AStandbyIsJudgedByItsTimelineFirst) {
    // Timeline 1, then 2 from 100 on, then 4 from 200 on; 3 was burnt.
    std::vector<Fork> const forks{{Timeline{1}, Lsn{0}}, {Timeline{2}, Lsn{100}}, {Timeline{4}, Lsn{200}}};
    struct Row {
        char const* says;
        Token token;
        std::uint32_t timeline;
        std::uint64_t replay;
        Standing wanted;
    };
    for (auto const& row : {
             Row{"replayed beyond it", token(4, 300), 4, 301, Standing::seen},
             Row{"replayed exactly up to its end", token(4, 300), 4, 300, Standing::seen},
             Row{"not yet", token(4, 300), 4, 299, Standing::behind},
             Row{"a commit before the fork is in the later timeline", token(1, 100), 2, 150, Standing::seen},
             Row{"and in the one after that", token(1, 90), 4, 250, Standing::seen},
             Row{"an old commit, and a standby further back", token(1, 90), 2, 80, Standing::behind},
             Row{"a commit beyond the fork of its timeline is lost", token(1, 101), 4, 999, Standing::lost},
             Row{"also for a standby that still is on that timeline", token(1, 101), 1, 120, Standing::lost},
             Row{"lost on the second one", token(2, 201), 4, 999, Standing::lost},
             Row{"a burnt timeline's commit is lost", token(3, 150), 4, 999, Standing::lost},
             Row{"a standby on an older timeline is not compared, however far it is", token(4, 300), 2, 999,
                 Standing::apart},
             Row{"a standby on a burnt timeline", token(1, 50), 3, 999, Standing::apart},
             Row{"a standby that is not heard", token(1, 50), 0, 0, Standing::apart},
             Row{"a timeline that is to come", token(5, 1), 4, 999, Standing::apart},
         }) {
        EXPECT_EQ(standing(row.token, Timeline{row.timeline}, Lsn{row.replay}, forks), row.wanted) << row.says;
    }
    EXPECT_EQ(standing(token(1, 1), Timeline{1}, Lsn{9}, {}), Standing::apart) << "nothing is known";
}

TEST(Tokens, AReadHasToSeeACommitAndWhatWasShownBefore) {
    std::vector<Fork> const forks{{Timeline{1}, Lsn{0}}, {Timeline{2}, Lsn{100}}};
    struct Row {
        char const* says;
        Token committed, shown;
        std::uint64_t replay;
        Standing wanted;
    };
    for (auto const& row : {
             Row{"nothing", {}, {}, 0, Standing::seen},
             Row{"only what was shown", {}, token(2, 150), 150, Standing::seen},
             Row{"it was shown more", {}, token(2, 151), 150, Standing::behind},
             Row{"the commit is there, what was shown is not", token(2, 120), token(2, 151), 150, Standing::behind},
             Row{"the other way round", token(2, 151), token(2, 120), 150, Standing::behind},
             Row{"both", token(1, 90), token(2, 120), 150, Standing::seen},
             Row{"it was shown what is lost: only the primary goes on", {}, token(1, 101), 999, Standing::apart},
             Row{"a lost commit is said, whatever was shown", token(1, 101), token(2, 120), 150, Standing::lost},
             Row{"shown on a timeline that nobody here knows yet", {}, token(3, 160), 999, Standing::apart},
         }) {
        Seen const seen{row.committed, row.shown};
        EXPECT_EQ(standing(seen, Timeline{2}, Lsn{row.replay}, forks), row.wanted) << row.says;
    }
    EXPECT_EQ((Seen{token(2, 5), token(2, 9)}.until()), Lsn{9});
    EXPECT_FALSE(Seen{}.is_set());
}

}  // namespace
}  // namespace keel::proxy
