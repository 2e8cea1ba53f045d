// The alerts as a pure machine: conditions in, a changed book and notices out.
//
//   condition seen --hold-off--> firing --people are told--> (acknowledged) --gone for a while--> resolved, told
//
// An alert that another one explains (rules.h, inhibits) or that is silenced is kept, and told when that ends and it is
// still so. Alerts that change at one moment make one notice.
#pragma once

#include "alert/conditions.h"

namespace keel::alert {

struct Look {
    std::vector<Condition> conditions;
    // Members whose own conditions are not known now: what they said last stands.
    std::set<std::string> silent;
    Reign reign;
    std::uint64_t term = 0;  // a book of a newer one wins
    std::int64_t now_ms = 0;
};

// What the speaker does each second. True when the book has changed and must be kept.
bool step(Book& book, Look const& look, Settings const& settings);
// What everybody else does: remembers the reign, so that who becomes the speaker knows what is new.
bool follow(Book& book, Reign const& reign);

// ---- what an operator may do
// ------------------------------------------------------------------------------------------ `alert`: a rule, or
// rule:subject; "all".
Status acknowledge(Book& book, std::string const& alert, std::string const& who);
Status silence(Book& book, Silence silence, std::int64_t now_ms);
Status end_silence(Book& book, std::string const& alert);

}  // namespace keel::alert
