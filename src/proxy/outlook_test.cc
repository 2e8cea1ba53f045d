#include "proxy/outlook.h"

#include <gtest/gtest.h>

#include "protocol/frame.h"

namespace keel::proxy {
namespace {

using Where = Outlook::Where;

// One session's knowledge, and batches as a client sends them.
struct Looking : ::testing::Test {
    std::string const database = "d";
    TextCache texts{{1, 2}};
    Judges judges;
    PreparedPool prepared;
    Names names;
    TextFacts unnamed;
    std::string unnamed_text;
    bool trusted = false;

    Looking() {
        auto const catalogue = std::make_shared<sql::Catalogue>();
        catalogue->add_function("pg_catalog", "now", false);
        catalogue->add_function("pg_catalog", "random", true);
        for (char const* const symbol : {"<", "*"}) catalogue->add_operator("pg_catalog", symbol, false);
        catalogue->add_relation("public", "t", 'r', 'p', "");
        judges.put(database, catalogue);
    }
    Outlook look(std::string const& in) {
        return look_ahead(in, {database, texts, judges, names, unnamed, unnamed_text, trusted});
    }
    static std::string q(std::string_view text) {
        std::string out;
        protocol::write_query(out, text);
        return out;
    }
    static std::string p(std::string_view name, std::string_view text) {
        std::string out;
        protocol::Message(out, 'P').text(name).text(text).u16(0);
        return out;
    }
    static std::string b(std::string_view name) {
        std::string out;
        protocol::Message(out, 'B').text("").text(name).u16(0).u16(0).u16(0);
        return out;
    }
    static std::string named(char type, char kind, std::string_view name) {
        std::string out;
        protocol::Message(out, type).u8(static_cast<std::uint8_t>(kind)).text(name);
        return out;
    }
    static std::string e() {
        std::string out;
        protocol::Message(out, 'E').text("").u32(0);
        return out;
    }
    static std::string bare(char type) {
        std::string out;
        protocol::write_bare(out, type);
        return out;
    }
};

TEST_F(Looking, OneReadAloneGoesToAStandby) {
    struct Row {
        char const* text;
        Where wanted;
    };
    for (auto const& row : {
             Row{"SELECT 1", Where::standby},
             Row{"SELECT * FROM t WHERE a < now()", Where::standby},
             Row{"SELECT random()", Where::primary},
             Row{"SELECT unknown_to_all()", Where::primary},
             Row{"SELECT * FROM nowhere", Where::primary},
             Row{"SELECT * FROM t FOR UPDATE", Where::primary},
             Row{"SELECT 1; SELECT 2", Where::primary},
             Row{"SELECT set_config('a', 'b', false)", Where::primary},
             Row{"INSERT INTO t VALUES (1)", Where::primary},
             Row{"WITH x AS (DELETE FROM t RETURNING 1) SELECT * FROM x", Where::primary},
             Row{"EXPLAIN SELECT * FROM t", Where::standby},
             Row{"EXPLAIN ANALYZE INSERT INTO t VALUES (1)", Where::primary},
             Row{"COPY t TO STDOUT", Where::standby},
             Row{"COPY t FROM STDIN", Where::primary},
             Row{"SHOW work_mem", Where::primary},
             Row{"BEGIN", Where::primary},
             Row{"BEGIN READ ONLY", Where::standby},
             Row{"START TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY", Where::standby},
             Row{"BEGIN READ ONLY ISOLATION LEVEL SERIALIZABLE", Where::primary},
             Row{"BEGIN READ WRITE", Where::primary},
             Row{"/* keel: primary */ BEGIN READ ONLY", Where::primary},
             Row{"BEGIN READ ONLY; SELECT 1", Where::primary},
             Row{"", Where::primary},
             Row{"gibberish", Where::primary},
             Row{"/* keel: primary */ SELECT 1", Where::primary},
             Row{"/* keel: replica */ SELECT random()", Where::standby},
             Row{"/* keel: replica */ INSERT INTO t VALUES (1)", Where::primary},
             Row{"/* keel: replica */ SELECT pg_advisory_lock(1)", Where::primary},
             Row{"/* keel: replica */ SELECT 1; DELETE FROM t", Where::primary},
         }) {
        EXPECT_EQ(look(q(row.text)).where, row.wanted) << row.text;
        auto const extended = p("", row.text) + b("") + named('D', 'P', "") + e() + bare('S');
        EXPECT_EQ(look(extended).where, row.wanted) << "extended: " << row.text;
    }
}

TEST_F(Looking, TheWholeBatchHasToBeThere) {
    auto const batch = p("", "SELECT 1") + b("") + e() + bare('S');
    for (std::size_t size = 0; size < batch.size(); ++size)
        EXPECT_EQ(look(batch.substr(0, size)).where, Where::more) << size;
    EXPECT_EQ(look(batch + q("INSERT INTO t VALUES (1)")).where, Where::standby)
        << "what is behind it is looked at later";
    auto const text = "SELECT '" + std::string(kFlightMax, 'x') + "'";
    EXPECT_EQ(look(q(text)).where, Where::primary) << "what is too long to be kept";
    EXPECT_EQ(look(q(text).substr(0, 100)).where, Where::primary) << "and it is not waited for";
}

TEST_F(Looking, ABatchOfSeveralStatementsIsThePrimarys) {
    auto const one = p("", "SELECT 1") + b("") + e();
    EXPECT_EQ(look(one + one + bare('S')).where, Where::primary);
    EXPECT_EQ(look(one + bare('H') + bare('S')).where, Where::primary) << "its answers cannot be held";
    EXPECT_EQ(look(one + q("SELECT 1")).where, Where::primary);
    EXPECT_EQ(look(p("", "SELECT 1") + b("") + e() + p("", "INSERT INTO t VALUES (1)") + bare('S')).where,
              Where::primary);
    auto const begin = p("", "BEGIN READ ONLY") + b("") + e();
    EXPECT_EQ(look(begin + one + one + bare('S')).where, Where::standby) << "but a transaction of reads is not";
    EXPECT_EQ(look(begin + p("", "INSERT INTO t VALUES (1)") + b("") + e() + bare('S')).where, Where::primary);
    EXPECT_EQ(look(begin + p("", "COMMIT") + b("") + e() + bare('S')).where, Where::primary);
    EXPECT_EQ(look(one + begin + bare('S')).where, Where::primary);
    EXPECT_EQ(look(bare('S')).where, Where::primary);
}

TEST_F(Looking, StatementsAreKnownByTheirNames) {
    auto const run = [&](char const* name) { return look(b(name) + e() + bare('S')); };
    EXPECT_EQ(run("a").where, Where::primary) << "nobody knows it";
    EXPECT_EQ(run("").where, Where::primary);
    using namespace std::string_literals;
    names["a"] = prepared.intern("SELECT 1\0\0\0"s);
    names["w"] = prepared.intern("INSERT INTO t VALUES (1)\0\0\0"s);
    EXPECT_EQ(run("a").where, Where::standby);
    EXPECT_FALSE(run("a").changes_names);
    EXPECT_EQ(run("w").where, Where::primary);
    unnamed_text = "SELECT 2";
    unnamed = *texts.of(unnamed_text);
    EXPECT_EQ(run("").where, Where::standby);
    EXPECT_EQ(look(p("a", "SELECT random()") + b("a") + e() + bare('S')).where, Where::primary);
    auto const prepares = look(p("n", "SELECT 3") + named('D', 'S', "n") + bare('S'));
    EXPECT_EQ(prepares.where, Where::standby);
    EXPECT_TRUE(prepares.changes_names);
    EXPECT_EQ(look(named('D', 'S', "w") + bare('S')).where, Where::primary);
    EXPECT_TRUE(look(named('C', 'S', "a") + b("") + e() + bare('S')).changes_names);
}

TEST_F(Looking, VerdictsAreRememberedAndFollowTheCatalogue) {
    auto const text = q("SELECT f()");
    EXPECT_EQ(look(text).where, Where::primary);
    auto const catalogue = std::make_shared<sql::Catalogue>();
    catalogue->add_function("public", "f", false);
    judges.put(database, catalogue);
    EXPECT_EQ(look(text).where, Where::standby) << "a new catalogue is a new verdict";
    judges.refused(database, look(text).text);
    EXPECT_EQ(look(text).where, Where::primary) << "a standby has refused it";
    trusted = true;
    EXPECT_EQ(look(text).where, Where::primary) << "whoever asks for it";
    EXPECT_EQ(look(q("SELECT random()")).where, Where::standby);
    trusted = false;
    judges.put(database, catalogue);
    EXPECT_EQ(look(text).where, Where::standby);
    judges.forget(database);
    EXPECT_EQ(look(text).where, Where::primary) << "nothing is known of the database";
    EXPECT_EQ(judges.take_new(), std::vector<std::string>{"d"});
    EXPECT_TRUE(judges.take_used("d"));
    EXPECT_FALSE(judges.take_used("d"));
}

}  // namespace
}  // namespace keel::proxy
