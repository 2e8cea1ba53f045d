#include <gtest/gtest.h>

#include "sql/catalogue.h"

namespace keel::sql {

namespace {

Catalogue made() {
    Catalogue catalogue;
    for (auto const* name : {"lower", "upper", "count", "sum", "now", "generate_series", "pg_typeof", "row_number",
                             "current_setting", "left", "like", "percentile_cont", "table_to_xml", "substring"})
        catalogue.add_function("pg_catalog", name, false);
    for (auto const* name : {"random", "nextval", "setval", "currval", "set_config", "pg_advisory_lock", "pg_notify",
                             "lo_create", "lo_get", "clock_timestamp", "pg_sleep", "txid_current"})
        catalogue.add_function("pg_catalog", name, true);
    catalogue.add_function("pg_catalog", "pg_stat_get_activity", false);
    catalogue.add_function("public", "mine", false);
    catalogue.add_function("public", "mixed", false);
    catalogue.add_function("other", "mixed", true);
    catalogue.add_function("public", "writes", true);
    for (auto const* symbol : {"=", "<>", "+", "-", "*", "<", "||", "->>"})
        catalogue.add_operator("pg_catalog", symbol, false);
    catalogue.add_operator("public", "#%#", true);
    catalogue.add_relation("public", "t", 'r', 'p', "");
    catalogue.add_relation("public", "u", 'p', 'p', "");
    catalogue.add_relation("public", "unlogged", 'r', 'u', "");
    catalogue.add_relation("public", "far", 'f', 'p', "");
    catalogue.add_relation("public", "seq", 'S', 'p', "");
    catalogue.add_relation("public", "v", 'v', 'p', " SELECT lower(t.a) FROM t;");
    catalogue.add_relation("public", "v_on_v", 'v', 'p', " SELECT * FROM v_writes;");
    catalogue.add_relation("public", "v_writes", 'v', 'p', " SELECT writes() AS writes;");
    catalogue.add_relation("public", "v_locks", 'v', 'p', " SELECT t.a FROM t FOR UPDATE;");
    catalogue.add_relation("public", "v_unread", 'v', 'p', "");
    catalogue.add_relation("public", "guarded", 'r', 'p', "select writes() = 1");
    return catalogue;
}

}  // namespace

TEST(Judge, AReadIsWhatIsProvenToBeOne) {
    Catalogue const catalogue = made();
    for (auto const* text :
         {"select 1",
          "select 1;",
          "select a, lower(b) from t where c = 'x' order by 1 limit 3 offset 2",
          "select * from public.t x join u as y on x.a = y.a left join v on true, t z",
          "select t.*, (select count(*) from u where u.a = t.a) from t group by 1 having sum(b) < 3",
          "with a as (select 1 as x), b(y) as not materialized (select x from a) select * from a, b",
          "with recursive r as (select 1 union all select n + 1 from r) select * from r",
          "values (1), (lower('A'))",
          "table t",
          "(select 1) union (select 2)",
          "select x from generate_series(1, 3) x",
          "select x from generate_series(1, 3) as g(x)",
          "select * from rows from (generate_series(1, 2), generate_series(1, 3)) as x",
          "select count(*) filter (where a) over (partition by b order by c) from t",
          "select percentile_cont(0.5) within group (order by a) from t",
          "select row_number() over w from t window w as (order by a)",
          "select extract(year from d), substring(a from 1 for 2), trim(both 'x' from a) from t",
          "select a is distinct from b, a is not distinct from c from t",
          "select case when a then 1 else 2 end, array[1, 2], row(1), 'x'::numeric(3), cast(a as text) from t",
          "select 'nextval(''s'')', $$insert$$, \"delete\" from t -- update",
          "select mine(1)",
          "select left('abc', 1), a like 'b', a like (b) from t",
          "select current_setting('my.own')",
          "select d ->> 'a' || 'b' from t where a != 1",
          "select * from pg_class c join pg_catalog.pg_namespace n on true",
          "explain select * from t",
          "explain (analyze, buffers) select * from t",
          "copy t to stdout",
          "copy public.t (a, b) to stdout with (format csv)",
          "copy (select a from t) to stdout",
          "execute p",
          "execute p(1, 'a')",
          "show server_version",
          "select now(), current_date, current_user",
          "select * from t tablesample_alias"}) {
        auto const verdict = judge(classify(text), catalogue);
        EXPECT_TRUE(verdict.safe) << text << ": " << verdict.reason;
    }
}

constexpr char const* kNotProven[] = {
    "",
    "insert into t values (1)",
    "update t set a = 1",
    "delete from t",
    "truncate t",
    "lock t",
    "begin",
    "commit",
    "with a as (insert into t values (1) returning *) select * from a",
    "with a as (select 1), b as (update t set a = 1 returning *) select * from b",
    "with a as (delete from t returning *) table a",
    "with a as materialized (merge into t using u on true when matched then delete) select 1",
    "select * from t for update",
    "select * from t for share",
    "select * from t for no key update of t nowait",
    "select * from t for key share skip locked",
    "select * from (select * from t for update) x",
    "select * from t limit 1 for update",
    "values (1) for update",
    "table t for share",
    "select 1 into x",
    "select 1 into temp x",
    "select 1 into unlogged x",
    "select a into table x from t",
    "select nextval('seq')",
    "select pg_catalog.nextval('seq')",
    "select NEXTVAL('seq')",
    "select \"nextval\"('seq')",
    "select nextval /* */ ('seq')",
    "select setval('seq', 1)",
    "select currval('seq')",
    "select 1 from t where nextval('seq') = 1",
    "select * from nextval('seq')",
    "select * from rows from (nextval('seq'))",
    "select * from t order by random()",
    "select case when true then nextval('seq') end",
    "select array[nextval('seq')]",
    "select (select nextval('seq'))",
    "select f.nextval from (select 'seq'::regclass) f",
    "select count(*) filter (where nextval('seq') = 1) from t",
    "select 1 limit nextval('seq')",
    "values (nextval('seq'))",
    "select lower(nextval('seq')::text)",
    "select 1 group by rollup (nextval('seq'))",
    "select extract(year from clock_timestamp())",
    "select coalesce(nextval('seq'), 1)",
    "select * from t x(nextval)  join nextval('seq') on true",
    "select U&\"next\\0076al\"('seq')",
    "select pg_advisory_lock(1)",
    "select pg_advisory_xact_lock(1)",
    "select pg_notify('a', 'b')",
    "select lo_create(0)",
    "select lo_get(1)",
    "select set_config('a.b', 'c', false)",
    "select pg_sleep(1)",
    "select txid_current()",
    "select pg_stat_get_activity(null)",
    "select pg_is_in_recovery()",
    "select table_to_xml('v_writes', true, true, '')",
    "select current_setting('work_mem')",
    "select current_setting(a) from t",
    "select inet_server_addr()",
    "select unknown_function()",
    "select other.mine(1)",
    "select mixed()",
    "select writes()",
    "select t.writes from t",
    "select 1 #%# 2",
    "select 1 @@@ 2",
    "select 1 operator(pg_catalog.+) 2",
    "select treat(a as t)",
    "select * from unlogged",
    "select * from far",
    "select * from seq",
    "select * from nowhere",
    "select * from other.t",
    "select * from pg_temp.t",
    "select * from pg_stat_activity",
    "select * from pg_locks",
    "select * from information_schema.tables",
    "select * from pg_settings",
    "select * from v_writes",
    "select * from v_on_v",
    "select * from v_locks",
    "select * from v_unread",
    "select * from guarded",
    "select * from t, v_on_v",
    "select * from t join (u join unlogged on true) on true",
    "with t as (select 1) select * from v_writes",
    "with unlogged as (select 1) select * from unlogged",
    "select (select a from far)",
    "select * from only (unlogged)",
    "table far",
    "copy unlogged to stdout",
    "copy (select nextval('seq')) to stdout",
    "copy t from stdin",
    "copy t to '/x'",
    "copy t to program 'x'",
    "copy (delete from t returning *) to stdout",
    "explain insert into t values (1)",
    "explain analyze insert into t values (1)",
    "explain analyze select nextval('seq')",
    "explain (analyze) select * from t for update",
    "explain analyze execute p",
    "explain analyze create table x as select 1",
    "execute p(nextval('seq'))",
    "execute p(1); select 1",
    "prepare p as select 1",
    "deallocate p",
    "call p()",
    "do $$begin end$$",
    "set a = 1",
    "set local a = 1",
    "reset a",
    "discard all",
    "listen a",
    "notify a",
    "declare c cursor for select 1",
    "fetch c",
    "close c",
    "savepoint a",
    "prepare transaction 'a'",
    "start transaction read only",
    "create temp table x ()",
    "create table x as select 1",
    "vacuum",
    "show work_mem",
    "show transaction_read_only",
    "show all",
    "select 1; select 2",
    "select 'a",
    "select (1",
    "select 1)",
    "nonsense",
    "select * from t; drop table t"};

TEST(Judge, WhatIsNotProvenGoesToThePrimary) {
    Catalogue const catalogue = made();
    for (auto const* text : kNotProven) {
        auto const verdict = judge(classify(text), catalogue);
        EXPECT_FALSE(verdict.safe) << text;
        EXPECT_FALSE(verdict.reason.empty()) << text;
    }
    EXPECT_FALSE(judge(classify("select " + std::string(200, '(') + "1" + std::string(200, ')')), catalogue).safe);
    EXPECT_FALSE(judge(classify("select '" + std::string(70000, 'x') + "'"), catalogue).safe);
    std::string many = "select c0";
    for (int i = 1; i < 400; ++i) many += ", c" + std::to_string(i);
    EXPECT_FALSE(judge(classify(many + " from t"), catalogue).safe);
}

TEST(Judge, TheAdministratorsWordAllowsAFunction) {
    Catalogue catalogue = made();
    catalogue.allow("writes");
    catalogue.allow("other.mixed");
    EXPECT_TRUE(judge(classify("select writes()"), catalogue).safe);
    EXPECT_TRUE(judge(classify("select other.mixed()"), catalogue).safe);
    EXPECT_FALSE(judge(classify("select public.writes()"), catalogue).safe);
    EXPECT_TRUE(judge(classify("select * from v_on_v"), catalogue).safe);
    catalogue.add_function("public", "writes", true);  // the next refresh does not undo it
    EXPECT_TRUE(judge(classify("select writes()"), catalogue).safe);
}

TEST(Judge, AHiddenVolatileFunctionMakesNothingSafe) {
    Catalogue catalogue = made();
    catalogue.add_hidden("a cast by f");
    auto const verdict = judge(classify("select 1"), catalogue);
    EXPECT_FALSE(verdict.safe);
    EXPECT_EQ(verdict.reason, "a cast by f runs a volatile function without naming it");
}

TEST(Judge, AnEmptyCatalogueKnowsNothing) {
    Catalogue const catalogue;
    for (auto const* text : {"select lower('a')", "select 1 + 1", "select * from t"})
        EXPECT_FALSE(judge(classify(text), catalogue).safe) << text;
    EXPECT_TRUE(judge(classify("select 1"), catalogue).safe);
}

}  // namespace keel::sql
