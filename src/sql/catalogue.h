// Which functions, operators and relations of one database a replica may serve, and the judgement of a statement by it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "sql/statement.h"

namespace keel::sql {

struct Verdict {
    bool safe = false;
    std::string reason = {};  // why not, as a sentence; empty when safe
};

// One database's. Filled by the caller from the rows of the queries below, then only read. Text columns, so that any
// driver can hand them over.
class Catalogue {
  public:
    // Rows (schema, name, volatile): one per function; a procedure counts as volatile, an aggregate is as volatile as
    // the functions behind it, and any function as its arguments' defaults.
    static constexpr std::string_view kFunctionsQuery = R"(
select n.nspname, p.proname,
       p.prokind not in ('f', 'a', 'w') or p.provolatile = 'v' or exists (
           select 1 from pg_catalog.pg_aggregate a
             join pg_catalog.pg_proc f on f.oid in (a.aggtransfn, a.aggfinalfn, a.aggcombinefn, a.aggserialfn,
                                                    a.aggdeserialfn, a.aggmtransfn, a.aggminvtransfn, a.aggmfinalfn)
            where a.aggfnoid = p.oid and f.provolatile = 'v')
       or exists (
           select 1 from pg_catalog.regexp_matches(p.proargdefaults::text, ':(?:op)?funcid (\d+)', 'g') m
             join pg_catalog.pg_proc f on f.oid = m[1]::oid
            where f.provolatile = 'v')
  from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace)";
    // Rows (schema, symbol, volatile).
    static constexpr std::string_view kOperatorsQuery = R"(
select n.nspname, o.oprname, coalesce(p.provolatile = 'v', true)
  from pg_catalog.pg_operator o join pg_catalog.pg_namespace n on n.oid = o.oprnamespace
  left join pg_catalog.pg_proc p on p.oid = o.oprcode
 where o.oprcode <> 0)";
    // Rows (schema, name, kind, persistence, text): relkind, relpersistence ('u' also for a table of which a part is
    // unlogged or foreign), and for each view and each expression of a
    // row security policy one row with its SQL; an empty text for the others.
    static constexpr std::string_view kRelationsQuery = R"(
with recursive part(root, oid) as (
    select inhparent, inhrelid from pg_catalog.pg_inherits
    union select p.root, i.inhrelid from part p join pg_catalog.pg_inherits i on i.inhparent = p.oid)
select n.nspname, c.relname, c.relkind,
       case when exists (select 1 from part p join pg_catalog.pg_class l on l.oid = p.oid
                          where p.root = c.oid and (l.relkind = 'f' or l.relpersistence = 'u'))
            then 'u' else c.relpersistence end,
       case c.relkind when 'v' then pg_catalog.pg_get_viewdef(c.oid) else '' end
  from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
 where c.relkind in ('r', 'p', 'v', 'm', 'f', 'S') and n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast')
union all
select n.nspname, c.relname, c.relkind, c.relpersistence,
       'select ' || pg_catalog.pg_get_expr(l.polqual, l.polrelid)
  from pg_catalog.pg_policy l join pg_catalog.pg_class c on c.oid = l.polrelid
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
 where l.polqual is not null)";
    // One row (what) per volatile function that runs without being named: in a cast, a type, a domain's check, behind
    // an operator that SQL's own words use. With a row, nothing in this database is safe.
    static constexpr std::string_view kHiddenQuery = R"(
with volatile as (select oid, proname from pg_catalog.pg_proc where provolatile = 'v')
select 'a cast by ' || v.proname from pg_catalog.pg_cast c join volatile v on v.oid = c.castfunc
union all
select 'the type ' || t.typname from pg_catalog.pg_type t join volatile v
    on v.oid in (t.typinput, t.typoutput, t.typreceive, t.typsend, t.typmodin, t.typmodout)
union all
select 'a range by ' || v.proname from pg_catalog.pg_range r join volatile v on v.oid in (r.rngcanonical, r.rngsubdiff)
union all
select 'the operator ' || o.oprname from pg_catalog.pg_operator o join volatile v on v.oid = o.oprcode
 where o.oprname in ('=', '<>', '<', '>', '<=', '>=', '~~', '!~~', '~~*', '!~~*', '~', '!~')
    or o.oid in (select amopopr from pg_catalog.pg_amop)
union all
select 'an operator class by ' || v.proname from pg_catalog.pg_amproc a join volatile v on v.oid = a.amproc
union all
select 'the domain check ' || c.conname from pg_catalog.pg_constraint c
 where c.contypid <> 0 and exists (
     select 1 from pg_catalog.regexp_matches(c.conbin::text, ':(?:op)?funcid (\d+)', 'g') m join volatile v on v.oid = m[1]::oid))";

    void add_function(std::string_view schema, std::string_view name, bool is_volatile);
    void add_operator(std::string_view schema, std::string_view symbol, bool is_volatile);
    void add_relation(std::string_view schema, std::string_view name, char kind, char persistence,
                      std::string_view text);
    void add_hidden(std::string_view what);
    // The administrator's word for a function that the catalogue calls volatile: "f" or "schema.f".
    void allow(std::string_view function);

    // Safe only if everything that the statement reaches is known and harmless on a replica.
    Verdict judge(Reach const& reach) const;

  private:
    enum class State : std::uint8_t { safe, unsafe, allowed };
    struct Relation {
        std::string unsafe = {};         // why it cannot be read on a replica
        std::vector<Reach> bodies = {};  // what reading it runs
    };
    using States = std::unordered_map<std::string, State>;

    std::string judge_names(Reach const& reach) const;
    std::string judge_function(Name const& name) const;
    std::string judge_mention(Reach::Mention const& mention) const;
    Relation const* find_relation(Name const& name) const;

    States functions_;  // by name, and by schema and name: of a name with several, all must be safe
    States operators_;
    std::unordered_map<std::string, Relation> relations_;  // the same
    std::string hidden_;
};

// Of a statement: its verb must be a read, too.
Verdict judge(Statement const& statement, Catalogue const& catalogue);

}  // namespace keel::sql
