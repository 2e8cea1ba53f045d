// A linearizability checker for recorded histories of the register; for tests. Revisions make it simple: writes that
// were done form one chain, and nothing older may be seen once something newer was.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "consensus/register.h"

namespace keel::consensus {

struct Done {  // one operation
    bool is_read = false;
    std::uint64_t expected = 0;
    std::string text;
    std::uint64_t invoked = 0;
    std::uint64_t returned = 0;  // 0: never
    Outcome outcome = Outcome::unknown;
    std::optional<Value> value;
};

// What is wrong with the history; empty when it is linearizable.
inline std::string what_is_not_linearizable(std::vector<Done> const& history, std::vector<Value> const& chosen) {
    std::map<std::uint64_t, std::string> chain;  // revision -> text
    auto const meets = [&](std::uint64_t revision, std::string const& text) {
        return chain.emplace(revision, text).first->second == text;
    };
    for (auto const& value : chosen) {
        if (!meets(value.revision, value.text)) return "two values of revision " + std::to_string(value.revision);
    }
    for (auto const& one : history) {
        bool const done = one.returned != 0 && one.outcome == Outcome::done;
        if (done && !one.is_read && !meets(one.expected + 1, one.text))
            return "a write that was done is not in the chain: " + one.text;
        if (one.value && !meets(one.value->revision, one.value->text))
            return "a value that is not in the chain: " + one.value->text;
    }
    for (auto const& one : history) {
        bool const never = one.returned != 0 && (one.outcome == Outcome::conflict || one.outcome == Outcome::not_done);
        if (one.is_read || !never) continue;
        auto const found = chain.find(one.expected + 1);
        if (found != chain.end() && found->second == one.text) return "it happened, but the answer was no: " + one.text;
    }
    for (auto const& early : history) {
        if (early.returned == 0 || !early.value) continue;
        for (auto const& late : history) {
            if (late.returned == 0 || late.invoked <= early.returned || !late.value) continue;
            if (late.value->revision < early.value->revision)
                return "an older value after a newer one: " + late.value->text;
            bool const done = !late.is_read && late.outcome == Outcome::done;
            if (done && late.expected < early.value->revision) return "replaced a value that was gone: " + late.text;
        }
    }
    return {};
}

}  // namespace keel::consensus
