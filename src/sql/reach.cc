#include "sql/reach.h"

#include <algorithm>
#include <utility>

namespace keel::sql {

namespace {

bool ends_operand(Token const& token) {
    switch (token.kind) {
        case Kind::word: {
            Category const category = category_of(token.word);
            return category == Category::none || category == Category::plain;
        }
        case Kind::quoted:
        case Kind::unicode_quoted:
        case Kind::string:
        case Kind::escape_string:
        case Kind::dollar_string:
        case Kind::other_string:
        case Kind::number:
        case Kind::parameter:
        case Kind::close:
            return true;
        default:
            return false;
    }
}

// A keyword which the grammar takes as such here, whatever stands around it.
bool is_syntax(Token const& token, Token const& next) {
    if (token.kind != Kind::word) return false;
    switch (category_of(token.word)) {
        case Category::reserved:
            return true;
        case Category::col_name:
            return next.kind != Kind::dot;  // a table may be called "time"
        case Category::type_func:
            return next.kind != Kind::open && next.kind != Kind::dot;
        default:
            return false;
    }
}

bool is_temp_schema(std::string_view name) { return name == "pg_temp" || name.starts_with("pg_temp_"); }

}  // namespace

ReachScan::ReachScan(Cursor& cursor, Statement& statement)
    : cursor_(cursor), statement_(statement), reach_(statement.reach) {}

void ReachScan::refuse(std::string reason) {
    if (reach_.unsafe.empty()) reach_.unsafe = std::move(reason);
}

void ReachScan::give_up(std::string reason) {
    refuse(std::move(reason));
    broken_ = true;
}

void ReachScan::add(std::vector<Name>& names, Name name) {
    if (std::ranges::find(names, name) != names.end()) return;
    if (++names_ > kNamesMax) return give_up("it names too much to be judged");
    names.push_back(std::move(name));
}

void ReachScan::run(bool in_parentheses) {
    if (cursor_.lexer().text().size() > kTextMax) give_up("it is too long to be judged");
    while (!cursor_.at_end() && !broken_) {
        if (in_parentheses && depth_ == 0 && cursor_.here().kind == Kind::close) return;
        one();
    }
    // Names are collected no longer, but what ties the session must be seen to the end.
    if (broken_) watch_rest(cursor_, statement_);
    if (depth_ != 0 || in_parentheses) refuse("its parentheses do not match");
}

void ReachScan::one() {
    Token const token = cursor_.here();
    switch (token.kind) {
        case Kind::word:
            return word();
        case Kind::quoted:
            return path(cursor_.before().kind == Kind::dot);
        case Kind::unicode_quoted:
            refuse("a name is written with Unicode escapes");
            watch_name(cursor_, statement_);
            break;
        case Kind::open:
            open(Frame::plain);
            break;
        case Kind::close:
            close();
            break;
        case Kind::comma:
            level().wants_relation = level().clause == Clause::from;
            level().wants_cte = level().clause == Clause::with && cursor_.before().kind == Kind::close;
            break;
        case Kind::op:
            add(reach_.operators, {"", std::string(cursor_.text_of(token))});
            break;
        case Kind::semicolon:
            refuse("it is more than one statement");
            break;
        case Kind::bad:
            statement_.verb = Verb::unknown;
            refuse("PostgreSQL would not take it for SQL");
            break;
        default:
            break;
    }
    cursor_.step();
}

void ReachScan::open(Frame frame) {
    if (cursor_.before().is(Word::on) && cursor_.before(2).is(Word::distinct)) frame = Frame::distinct_on;
    // f() WITHIN GROUP (...) OVER (...), f() FILTER (...) OVER (...): the call goes on.
    if (cursor_.before().is(Word::group) || (cursor_.before().is(Word::filter) && closed_ == Frame::call))
        frame = Frame::call;
    bool const relation = std::exchange(level().wants_relation, false);
    if (depth_ + 1 == kDepthMax) {
        return give_up("its parentheses are nested too deep to be judged");
    }
    levels_[++depth_] = {frame, relation ? Clause::from : Clause::none, relation, false};
}

void ReachScan::close() {
    closed_ = level().frame;
    if (depth_ == 0) return refuse("its parentheses do not match");
    --depth_;
}

void ReachScan::word() {
    Token const token = cursor_.here();
    bool const behind_dot = cursor_.before().kind == Kind::dot;
    // After a dot every word is a name.
    if (behind_dot) return path(true);
    switch (token.word) {
        case Word::insert:
        case Word::update:
        case Word::delete_:
        case Word::merge:
            refuse("it may write: " + std::string(cursor_.text_of(token)));
            break;
        case Word::rows:
            if (!level().wants_relation || !cursor_.peek(1).is(Word::from)) break;
            level().wants_relation = false;
            cursor_.step();
            return cursor_.step();
        default:
            break;
    }
    // A table may be named by a word that is no function's name: FROM position.
    bool const table = level().wants_relation && category_of(token.word) == Category::col_name &&
                       cursor_.peek(1).kind != Kind::open && !token.is(Word::values);
    if (!table && is_syntax(token, cursor_.peek(1))) return keyword(token.word);
    path(false);
}

void ReachScan::keyword(Word word) {
    bool const takes_parentheses = category_of(word) == Category::col_name && cursor_.peek(1).kind == Kind::open;
    clause_word(word);
    cursor_.step();
    if (!takes_parentheses) return;
    // FROM inside of these, as in extract(year from t), begins no clause.
    level().wants_relation = false;
    open(word == Word::extract || word == Word::substring || word == Word::trim || word == Word::overlay
             ? Frame::syntax
             : Frame::plain);
    cursor_.step();
}

void ReachScan::clause_word(Word word) {
    Token const& before = cursor_.before();
    Level& here = level();
    switch (word) {
        case Word::from:
            if (here.frame == Frame::syntax) return;
            if (before.is(Word::distinct) && (cursor_.before(2).is(Word::is) || cursor_.before(2).is(Word::not_)))
                return;
            here = {here.frame, Clause::from, true, false};
            return;
        case Word::join:
        case Word::table:
            here.wants_relation = true;
            return;
        case Word::only:
        case Word::lateral:
            return;  // the relation is still to come
        case Word::with:
            if (before.kind != Kind::end && before.kind != Kind::open) return;
            if (cursor_.peek(1).is(Word::recursive) && cursor_.peek(2).kind != Kind::open &&
                !cursor_.peek(2).is(Word::as))
                cursor_.step();
            here = {here.frame, Clause::with, false, true};
            return;
        case Word::into:
            refuse("INTO makes a table");
            if (makes_temp(cursor_)) statement_.pins.temp_object = true;
            return;
        case Word::for_:
            if (cursor_.peek(1).is(Word::update) || cursor_.peek(1).is(Word::share) || cursor_.peek(1).is(Word::no) ||
                cursor_.peek(1).is(Word::key))
                refuse("it locks rows");
            [[fallthrough]];
        case Word::select:
        case Word::where:
        case Word::having:
        case Word::order:
        case Word::limit:
        case Word::offset:
        case Word::fetch:
        case Word::window:
        case Word::union_:
        case Word::intersect:
        case Word::except:
        case Word::values:
            here = {here.frame, Clause::none, false, false};
            return;
        case Word::group:
            // WITHIN GROUP (...) is no clause.
            if (cursor_.peek(1).is(Word::by)) here = {here.frame, Clause::group_by, false, false};
            return;
        case Word::treat:
            return refuse("TREAT calls a function by the name of a type");
        default:
            here.wants_relation = false;
            return;
    }
}

// A name with all its dots. Leaves the cursor behind it.
std::vector<std::string> ReachScan::parts() {
    std::vector<std::string> parts;
    for (;;) {
        watch_name(cursor_, statement_);
        auto name = name_of(cursor_.lexer(), cursor_.here());
        if (!name) refuse("a name is empty, or longer than PostgreSQL keeps");
        parts.push_back(name ? std::move(*name) : std::string());
        if (is_temp_schema(parts.back())) refuse("it uses the session's temporary tables");
        cursor_.step();
        if (cursor_.here().kind != Kind::dot || !cursor_.peek(1).is_name()) return parts;
        cursor_.step();
    }
}

void ReachScan::path(bool behind_dot) {
    Token const before = cursor_.before(), before_that = cursor_.before(2), first = cursor_.here();
    std::vector<std::string> const parts = this->parts();
    bool const called = cursor_.here().kind == Kind::open;
    bool const wants_relation = std::exchange(level().wants_relation, false);
    bool const wants_cte = std::exchange(level().wants_cte, false);
    if (called && !wants_cte) {
        bool const single = parts.size() == 1 && !behind_dot && !wants_relation;
        if (!single || !is_no_call(first, before, before_that)) return call(parts);
        mention(parts, behind_dot, true);
        level().wants_relation = first.is(Word::join);
        return;
    }
    mention(parts, behind_dot, called);
    if (wants_cte && parts.size() == 1 && (called || cursor_.here().is(Word::as))) {
        if (ctes_.size() < kDepthMax) ctes_.push_back(parts.front());
    } else if (wants_relation) {
        table(parts);
    }
}

// A parenthesis behind a name which is no call. Only what the grammar cannot read as one.
bool ReachScan::is_no_call(Token const& name, Token const& before, Token const& before_that) const {
    if (before.is(Word::as) || before.kind == Kind::cast) return true;  // f AS x(a, b); 'x'::numeric(3)
    switch (name.word) {
        case Word::over:
        case Word::filter:
            return before.kind == Kind::close && closed_ == Frame::call;
        case Word::by:
            return before.is(Word::order) || before.is(Word::group) || before.is(Word::partition);
        case Word::zone:
            return before.is(Word::time);
        case Word::sets:
            return before.is(Word::grouping);
        case Word::materialized:
            return before.is(Word::not_) && before_that.is(Word::as);
        case Word::cube:
        case Word::rollup:
            return level().clause == Clause::group_by && (before.is(Word::by) || before.kind == Kind::comma);
        case Word::join:
            return level().clause == Clause::from;
        case Word::like:
        case Word::ilike:
        case Word::overlaps:
            return ends_operand(before) && !(before.kind == Kind::close && closed_ == Frame::distinct_on);
        default:
            // FROM (SELECT ...) x(a, b), FROM f() x(a, b)
            return level().clause == Clause::from && before.kind == Kind::close && closed_ != Frame::distinct_on;
    }
}

void ReachScan::call(std::vector<std::string> const& parts) {
    std::size_t const n = parts.size();
    if (parts.back() == "currval" || parts.back() == "lastval") statement_.reads_session_state = true;
    // Only settings of the user's own (with a dot) are the same wherever the session is.
    if (parts.back() == "current_setting" &&
        value_of(cursor_.lexer(), cursor_.peek(1)).value_or("").find('.') == std::string::npos)
        refuse("a setting may differ from server to server");
    add(reach_.functions, {n > 1 ? parts[n - 2] : "", parts.back()});
    open(Frame::call);
    cursor_.step();
}

void ReachScan::table(std::vector<std::string> const& parts) {
    std::size_t const n = parts.size();
    if (n == 1 && std::ranges::find(ctes_, parts.front()) != ctes_.end()) return;
    add(reach_.relations, {n > 1 ? parts[n - 2] : "", parts.back()});
}

void ReachScan::mention(std::vector<std::string> const& parts, bool behind_dot, bool last_is_called) {
    for (std::size_t i = 0; i < parts.size(); ++i) {
        bool const called = i > 0 || behind_dot || (last_is_called && i + 1 == parts.size());
        Reach::Mention said{{i > 0 ? parts[i - 1] : "", parts[i]}, called};
        if (std::ranges::find(reach_.mentions, said) != reach_.mentions.end()) continue;
        if (++names_ > kNamesMax) return give_up("it names too much to be judged");
        reach_.mentions.push_back(std::move(said));
    }
}

bool ReachScan::relation() {
    if (!cursor_.here().is_name()) return false;
    std::vector<std::string> const parts = this->parts();
    mention(parts, false, false);
    table(parts);
    return true;
}

}  // namespace keel::sql
