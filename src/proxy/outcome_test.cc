#include "proxy/outcome.h"

#include <gtest/gtest.h>

namespace keel::proxy {
namespace {

TEST(Outcome, ACommitIsNeverCalledStoredByAnXidThatMayHaveBeenGivenTwice) {
    using enum Judgement;
    struct Row {
        char const* what;
        std::uint64_t xid;
        std::uint64_t lost_in, now;
        std::vector<Reign> reigns;
        Judgement expected;
    };
    Row const rows[] = {
        {"no xid, no answer", 0, 2, 3, {{{2}, 10}, {{3}, 100}}, unknown},
        {"the same reign knows", 50, 2, 2, {{{2}, 10}}, ask},
        {"below the next one's first: that one knows", 99, 2, 3, {{{2}, 10}, {{3}, 100}}, ask},
        {"not below: it never came that far", 100, 2, 3, {{{2}, 10}, {{3}, 100}}, not_committed},
        {"a boundary that is not known", 50, 2, 3, {{{2}, 10}, {{3}, 0}}, unknown},
        {"two promotions, both known", 99, 2, 5, {{{2}, 10}, {{3}, 100}, {{5}, 200}}, ask},
        {"two promotions, the second is not known", 99, 2, 5, {{{2}, 10}, {{3}, 100}, {{5}, 0}}, unknown},
        {"lost at the first of two", 150, 2, 5, {{{2}, 10}, {{3}, 100}, {{5}, 200}}, not_committed},
        {"a reign that is no part of the history", 50, 3, 5, {{{2}, 10}, {{5}, 200}}, unknown},
        {"the next reign is not recorded yet", 50, 2, 3, {{{2}, 10}}, unknown},
        {"the route is older than the server", 50, 3, 2, {{{2}, 10}}, unknown},
    };
    for (auto const& row : rows)
        EXPECT_EQ(judge_lost(row.xid, Epoch{row.lost_in}, Epoch{row.now}, row.reigns), row.expected) << row.what;
}

}  // namespace
}  // namespace keel::proxy
