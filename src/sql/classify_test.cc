#include <gtest/gtest.h>

#include <map>

#include "sql/catalogue.h"

namespace keel::sql {

constexpr std::pair<char const*, char const*> kVerbs[] = {
    {"", "empty"},
    {" -- a\n /* b */ ;; ", "empty"},
    {"select 1", "SELECT"},
    {"((select 1) union select 2)", "SELECT"},
    {"with a as (select 1) select * from a", "SELECT"},
    {"with a as (select 1), b(x) as materialized (values (1)) values (1)", "VALUES"},
    {"with a as (insert into t values (1) returning *) select * from a", "SELECT"},
    {"with a as (select 1) insert into t select * from a", "INSERT"},
    {"with recursive a as (select 1) update t set x = 1", "UPDATE"},
    {"with a as (select 1) delete from t", "DELETE"},
    {"with a as (select 1) merge into t using a on true when matched then do nothing", "MERGE"},
    {"values (1)", "VALUES"},
    {"(values (1))", "VALUES"},
    {"table t", "TABLE"},
    {"show all", "SHOW"},
    {"show transaction isolation level", "SHOW"},
    {"explain (analyze, format json) select 1", "EXPLAIN"},
    {"explain analyze verbose insert into t values (1)", "EXPLAIN"},
    {"explain (select 1)", "EXPLAIN"},
    {"copy t to stdout", "COPY TO"},
    {"copy t (a, b) from stdin with (format csv)", "COPY FROM"},
    {"copy (select 1) to stdout (format binary)", "COPY TO"},
    {"insert into t values (1)", "INSERT"},
    {"update t set a = 1", "UPDATE"},
    {"delete from t", "DELETE"},
    {"truncate t", "TRUNCATE"},
    {"begin", "BEGIN"},
    {"begin work isolation level serializable, read only deferrable", "BEGIN"},
    {"start transaction read only", "BEGIN"},
    {"commit", "COMMIT"},
    {"end transaction and no chain", "COMMIT"},
    {"commit and chain", "COMMIT"},
    {"rollback work", "ROLLBACK"},
    {"abort and chain", "ROLLBACK"},
    {"savepoint a", "SAVEPOINT"},
    {"release savepoint a", "RELEASE"},
    {"release savepoint", "RELEASE"},
    {"rollback to a", "ROLLBACK TO"},
    {"rollback transaction to savepoint a", "ROLLBACK TO"},
    {"prepare transaction 'x'", "PREPARE TRANSACTION"},
    {"commit prepared 'x'", "COMMIT PREPARED"},
    {"rollback prepared 'x'", "ROLLBACK PREPARED"},
    {"set transaction read only", "SET TRANSACTION"},
    {"set transaction snapshot '0-1'", "SET TRANSACTION"},
    {"set local a = 1", "SET"},
    {"set constraints all deferred", "SET CONSTRAINTS"},
    {"reset all", "RESET"},
    {"discard temporary", "DISCARD"},
    {"prepare p(int) as select $1", "PREPARE"},
    {"prepare transaction as select 1", "PREPARE"},
    {"execute p(1)", "EXECUTE"},
    {"deallocate prepare p", "DEALLOCATE"},
    {"deallocate prepare", "DEALLOCATE"},
    {"listen a", "LISTEN"},
    {"unlisten *", "UNLISTEN"},
    {"notify a, 'b'", "NOTIFY"},
    {"declare c binary cursor with hold for select 1", "DECLARE CURSOR"},
    {"fetch forward 3 from c", "FETCH"},
    {"move c", "FETCH"},
    {"close all", "CLOSE"},
    {"lock t", "LOCK"},
    {"do $$begin end$$", "DO"},
    {"call p()", "CALL"},
    {"load 'x'", "LOAD"},
    {"create temp table x (a int)", "CREATE TEMP"},
    {"create or replace temporary view x as select 1", "CREATE TEMP"},
    {"create table pg_temp.x (a int)", "CREATE TEMP"},
    {"create table x (a int)", "utility"},
    {"vacuum", "utility"},
    // Not SQL, not whole, or more than one statement.
    {"selec 1", "unknown"},
    {"select 'a", "unknown"},
    {"begin read", "unknown"},
    {"commit and", "unknown"},
    {"savepoint", "unknown"},
    {"set a", "unknown"},
    {"set transaction snapshot 'a", "unknown"},
    {"set constraints all deferred; b", "unknown"},
    {"fetch 'a", "unknown"},
    {"do 'a", "unknown"},
    {"insert into t values (1); set a = 1", "unknown"},
    {"discard everything", "unknown"},
    {"deallocate a b", "unknown"},
    {"42", "unknown"},
    {"execute p(1", "unknown"},
    {"copy t", "unknown"},
};

TEST(Classify, NamesTheVerb) {
    for (auto const& [text, verb] : kVerbs) {
        EXPECT_STREQ(to_string(classify(text).verb), verb) << text;
        EXPECT_STREQ(to_string(classify(text, {}, Look::session).verb), verb) << text;
    }
}

TEST(Classify, ReadsTheModesOfATransaction) {
    auto const modes = [](char const* text) { return classify(text).transaction; };
    EXPECT_EQ(modes("begin").read_only, std::nullopt);
    EXPECT_EQ(modes("start transaction read only").read_only, true);
    EXPECT_EQ(modes("begin read only, read write").read_only, false);
    EXPECT_EQ(modes("begin isolation level serializable").isolation, Isolation::serializable);
    EXPECT_EQ(modes("begin isolation level repeatable read read only").isolation, Isolation::repeatable_read);
    EXPECT_EQ(modes("begin transaction isolation level read committed").isolation, Isolation::read_committed);
    EXPECT_EQ(modes("set transaction isolation level read uncommitted").isolation, Isolation::read_uncommitted);
    EXPECT_EQ(modes("begin not deferrable").deferrable, false);
    EXPECT_TRUE(modes("commit and chain").chain);
    EXPECT_TRUE(modes("rollback and chain").chain);
    EXPECT_FALSE(modes("commit and no chain").chain);
    EXPECT_TRUE(modes("set transaction snapshot 'x'").snapshot);
}

TEST(Classify, KeepsNamesAndBodies) {
    EXPECT_EQ(classify("savepoint \"A\"").name, "A");
    EXPECT_EQ(classify("rollback to savepoint B").name, "b");
    EXPECT_EQ(classify("prepare transaction 'it''s'").name, "it's");
    EXPECT_EQ(classify("commit prepared $$x$$").name, "x");
    EXPECT_EQ(classify("fetch all in c").name, "c");
    EXPECT_TRUE(classify("deallocate all").all);
    EXPECT_TRUE(classify("unlisten *").all);
    EXPECT_EQ(classify("explain analyze execute P(1)").name, "p");
    auto const prepared = classify("prepare P (int, numeric(3)) as select $1 /* c */ ; ");
    EXPECT_EQ(prepared.name, "p");
    EXPECT_EQ(prepared.arguments, "int, numeric(3)");
    EXPECT_EQ(prepared.body, "select $1");
    EXPECT_EQ(classify("execute p((1), 'a)')").arguments, "(1), 'a)'");
    EXPECT_TRUE(classify("declare c cursor with hold for select 1").with_hold);
    EXPECT_FALSE(classify("declare c cursor without hold for select 1").with_hold);
}

TEST(Classify, AHintStandsAtTheBeginning) {
    EXPECT_EQ(classify("/* keel: primary */ select 1").hint, Hint::primary);
    EXPECT_EQ(classify("\n/*keel:replica*/ select f()").hint, Hint::replica);
    for (auto const* text : {"select 1 /* keel: replica */", "-- keel: replica\nselect 1",
                             "/* keel: somewhere */ select 1", "/* keel: replica, or so */ select 1"})
        EXPECT_EQ(classify(text).hint, Hint::none) << text;
    // The hint is no verb's licence: the reach stays unsafe.
    EXPECT_FALSE(classify("/* keel: replica */ delete from t").reach.unsafe.empty());
}

TEST(Classify, SaysWhatTiesTheSession) {
    std::pair<char const*, char const*> const rows[] = {
        {"select 1", ""},
        {"insert into t values (1)", ""},
        {"create temp table x (a int)", "temporary table"},
        {"create temp table x (a int) on commit drop", ""},
        {"create temp table x (a int) on commit delete rows", "temporary table"},
        {"create local temporary sequence x", "temporary table"},
        {"create view pg_temp.x as select 1", "temporary table"},
        {"select 1 into temp x", "temporary table"},
        {"select 1 into local temporary table x", "temporary table"},
        {"select 1 into pg_temp.x", "temporary table"},
        {"explain analyze create temp table x as select 1", "temporary table"},
        {"explain (analyze) create local temp table x as select 1", "temporary table"},
        {"set search_path to pg_temp, public", "temporary table"},
        {"select set_config('search_path', 'PG_TEMP', false)", "temporary table"},
        {"select * from \"pg_temp_3\".x", "temporary table"},
        {"select pg_create_physical_replication_slot('a', false, true)", "temporary table"},
        {"select pg_advisory_lock(1)", "advisory lock"},
        {"select PG_TRY_ADVISORY_LOCK_SHARED(1)", "advisory lock"},
        {"with a as (select pg_catalog.\"pg_advisory_lock\"(1)) select 1", "advisory lock"},
        {"insert into t select pg_advisory_lock(1)", "advisory lock"},
        {"explain analyze select pg_advisory_lock(1)", "advisory lock"},
        {"execute p(pg_advisory_lock(1))", "advisory lock"},
        {"copy (select pg_advisory_lock(1)) to stdout", "advisory lock"},
        {"select pg_advisory_xact_lock(1)", ""},
        {"declare c cursor with hold for select 1", "cursor WITH HOLD"},
        {"declare c scroll cursor for select 1", ""},
        {"listen a", "LISTEN"},
        {"load 'x'", "LOAD"},
        {"call p()", "CALL"},
        {"do $$begin perform 1; end$$", ""},
        {"do $$begin set work_mem = 1; end$$", "DO"},
        {"do 'begin perform Set_Config(''a.b'', ''c'', false); end'", "DO"},
        {"do $$begin perform pg_advisory_lock_shared(1); end$$", "DO"},
        {"do $$begin create temp table x(); end$$", "DO"},
        {"do $$begin perform U&\"set\\005fconfig\"('a.b', 'c', false); end$$", "DO"},
        {"do language plperl $$1$$", "DO"},
        {"do E'begin end'", "DO"},
        {"do 'begin end' language plpgsql", ""},
        {"set a.b = 1", ""},
        {"set a.b from current", "a setting that cannot be followed"},
        {"set time zone interval '1' hour to minute", "a setting that cannot be followed"},
        {"set local time zone interval '1' hour to minute", ""},
        {"set seed to 0.5", "a setting that cannot be followed"},
        {"set a.b = 'x\\y'", "a setting that cannot be followed"},
        {"select setseed(0.5)", "a setting that cannot be followed"},
        {"select set_limit(0.5)", "a setting that cannot be followed"},
        {"select dblink_connect('a', 'b')", "a setting that cannot be followed"},
        {"select set_config('a.b', 'c', false)", ""},
        {"select set_config('a.b', x, false) from t", "a setting that cannot be followed"},
        {"select set_config('a.b', x, true) from t", ""},
        {"select set_config(x, (select f(1, 2)), true)", ""},
        {"select set_config('a.b', 'c', true = false)", "a setting that cannot be followed"},
        {"select set_config(is_local => false, setting_name => 'a.b', new_value => 'c')",
         "a setting that cannot be followed"},
        {"insert into t select set_config('a.b', 'c', false)", "a setting that cannot be followed"},
        {"explain analyze select set_config('a.b', 'c', false)", "a setting that cannot be followed"},
        {"select U&\"set\\005fconfig\"('a.b', 'c', false)", "a setting that cannot be followed"},
        {"update t set a = U&\"set\\005fconfig\"('a.b', 'c', false)", "a setting that cannot be followed"},
    };
    for (auto const& [text, pins] : rows) {
        for (auto const look : {Look::session, Look::reach})
            EXPECT_EQ(classify(text, {}, look).pins.text(), pins) << text;
        EXPECT_EQ(classify(text).pins.any(), *pins != '\0') << text;
    }
    // Too deep or too long to be judged is not too long to be watched.
    EXPECT_TRUE(classify("select " + std::string(200, '(') + "pg_advisory_lock(1)").pins.advisory_lock);
    EXPECT_TRUE(classify("select '" + std::string(70000, 'a') + "', pg_advisory_lock(1)").pins.advisory_lock);
}

TEST(Classify, WithoutALookAtItsReachAQueryIsNotSafe) {
    EXPECT_TRUE(classify("select 1").reach.unsafe.empty());
    auto const quick = classify("select a.into, f(x) from t", {}, Look::session);
    EXPECT_FALSE(quick.reach.unsafe.empty());
    EXPECT_TRUE(quick.reach.functions.empty());
    EXPECT_FALSE(quick.pins.any());
    EXPECT_TRUE(classify("select 1 into temp t", {}, Look::session).pins.temp_object);
}

TEST(Classify, AnswersOfTheSessionAreMarked) {
    EXPECT_TRUE(classify("select currval('s')").reads_session_state);
    EXPECT_TRUE(classify("select lastval()").reads_session_state);
    EXPECT_FALSE(classify("select nextval('s')").reads_session_state);
}

}  // namespace keel::sql
