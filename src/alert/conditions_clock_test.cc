#include <gmock/gmock.h>

#include "alert/conditions.h"

namespace keel::alert {
namespace {

// "anna 12s..." of every condition.
std::string judged(std::map<std::string, double> const& ahead) {
    std::string out;
    for (auto const& one : clock_conditions("anna", ahead, standard_settings()))
        out += std::string(out.empty() ? "" : "; ") + (one.severity == Severity::critical ? "CRITICAL " : "") +
               one.text.substr(0, one.text.find(':'));
    return out;
}

TEST(Clocks, OneThatDiffersFromMostIsNamed) {
    EXPECT_EQ(judged({}), "");
    EXPECT_EQ(judged({{"bela", 9.9}, {"cleo", -9.9}}), "");
    EXPECT_EQ(judged({{"bela", 12}, {"cleo", 0.2}}), "the clock of bela is 12 s ahead of the others");
    EXPECT_EQ(judged({{"bela", -3600}, {"cleo", 0.2}}), "CRITICAL the clock of bela is 60 min behind the others");
    EXPECT_EQ(judged({{"bela", 12}, {"cleo", 12}}), "the clock of anna is 12 s behind the others") << "it is our own";
}

TEST(Clocks, OfTwoNobodyKnowsWhichIsRight) {
    EXPECT_EQ(judged({{"bela", 12}}), "the clock of bela is 12 s ahead of that of anna");
    EXPECT_EQ(judged({{"bela", 12}, {"cleo", 12}, {"dora", 0}}),
              "the clock of bela is 12 s ahead of the others; the clock of cleo is 12 s ahead of the others");
}

}  // namespace
}  // namespace keel::alert
