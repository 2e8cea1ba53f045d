// Finds what a read touches: functions, operators and relations, and every reason why a replica may not serve it.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <vector>

#include "sql/cursor.h"
#include "sql/statement.h"

namespace keel::sql {

// Notes at one name what it may do to the session, in any statement: advisory locks, set_config(), temporary objects.
void watch_name(Cursor const& cursor, Statement& statement);
// watch_name() for all that is left of a statement.
void watch_rest(Cursor& cursor, Statement& statement);
// The same for a query, where INTO may make a temporary table.
void watch_query(Cursor& cursor, Statement& statement);
// Whether the INTO under the cursor does.
bool makes_temp(Cursor const& into);

// One walk over tokens, without a grammar. What it cannot tell apart it counts as both: a name that may be a function
// is at least a mention, so that a wrong guess can only cost a trip to the primary.
class ReachScan {
  public:
    // `reach` of the statement must be empty of reasons; it is filled.
    ReachScan(Cursor& cursor, Statement& statement);
    // To the end of the text; or, with `in_parentheses`, to the parenthesis that closes the one before the cursor,
    // which is left under the cursor.
    void run(bool in_parentheses = false);
    // Takes the name under the cursor for a relation: COPY's. False: there is none.
    bool relation();

  private:
    enum class Frame : std::uint8_t { plain, call, syntax, distinct_on };
    enum class Clause : std::uint8_t { none, from, group_by, with };
    struct Level {
        Frame frame = Frame::plain;
        Clause clause = Clause::none;
        bool wants_relation = false;  // the next name is one
        bool wants_cte = false;
    };

    void one();
    void word();
    void keyword(Word word);
    void clause_word(Word word);
    void open(Frame frame);
    void close();
    std::vector<std::string> parts();
    void path(bool behind_dot);
    void call(std::vector<std::string> const& parts);
    bool is_no_call(Token const& name, Token const& before, Token const& before_that) const;
    void table(std::vector<std::string> const& parts);
    void mention(std::vector<std::string> const& parts, bool behind_dot, bool last_is_called);
    void add(std::vector<Name>& names, Name name);
    void refuse(std::string reason);
    void give_up(std::string reason);
    Level& level() { return levels_[depth_]; }
    Level const& level() const { return levels_[depth_]; }

    static constexpr std::size_t kDepthMax = 100;
    static constexpr std::size_t kNamesMax = 256;
    static constexpr std::size_t kTextMax = 64 * 1024;

    Cursor& cursor_;
    Statement& statement_;
    Reach& reach_;
    std::array<Level, kDepthMax> levels_{};
    std::size_t depth_ = 0;
    std::size_t names_ = 0;
    Frame closed_ = Frame::plain;  // what the last ) closed
    std::vector<std::string> ctes_;
    bool broken_ = false;
};

}  // namespace keel::sql
