#include "web/metrics_proxy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <sstream>

namespace keel::web {
namespace {

using testing::HasSubstr;
using testing::Not;

proxy::Snapshot with_pool(std::string database, std::string user = "u") {
    proxy::Snapshot out;
    auto& pool = out.pools.emplace_back();
    pool.database = std::move(database);
    pool.user = std::move(user);
    return out;
}

TEST(ProxyMetrics, every_family_is_described_once_and_no_series_comes_twice) {
    auto now = with_pool("shop");
    now.nodes = {{"anna", true, false, 1, 0, 0}, {"bela", false, true, 0, 1, 0}};
    now.totals.errors_of_servers.add("23505");
    now.totals.errors_of_proxy.add("23505");
    std::set<std::string> seen, described;
    std::istringstream text(render_proxy(now));
    for (std::string line; std::getline(text, line);) {
        if (line.starts_with("# HELP ")) {
            EXPECT_TRUE(described.insert(line.substr(7, line.find(' ', 7) - 7)).second) << line;
        } else if (!line.starts_with('#')) {
            EXPECT_TRUE(seen.insert(line.substr(0, line.rfind(' '))).second) << line;
            EXPECT_TRUE(line.starts_with("pgkeel_proxy_")) << line;
        }
    }
    EXPECT_TRUE(seen.contains("pgkeel_proxy_errors_total{class=\"23\",origin=\"server\"}"));
    EXPECT_TRUE(seen.contains("pgkeel_proxy_errors_total{class=\"23\",origin=\"proxy\"}"));
    EXPECT_FALSE(seen.contains("pgkeel_proxy_node_takes_reads{node=\"anna\"}")) << "it leads";
}

TEST(ProxyMetrics, names_are_escaped_and_what_is_no_text_is_shown_by_its_bytes) {
    struct Row {
        char const* name;
        char const* shown;
    };
    for (auto const& row :
         {Row{"a\"b\\c\nd", R"(database="a\"b\\c\nd",)"}, Row{"d\xc3\xa9j\xc3\xa0", "database=\"d\xc3\xa9j\xc3\xa0\","},
          Row{"d\xe9j", R"(database="d\\xe9j",)"}, Row{"\xf0\x9f\x90\x98", "database=\"\xf0\x9f\x90\x98\","},
          Row{"\xc0\xaf", R"(database="\\xc0\\xaf",)"}, Row{"\xed\xa0\x80", R"(database="\\xed\\xa0\\x80",)"},
          Row{"\xe2\x82", R"(database="\\xe2\\x82",)"}})
        EXPECT_THAT(render_proxy(with_pool(row.name)), HasSubstr(std::string("{") + row.shown));
}

TEST(ProxyMetrics, a_histogram_adds_up_and_ends_with_all) {
    proxy::Snapshot now;
    now.all.waits.add(0us);
    now.all.waits.add(2ms);
    now.all.waits.add(60s);
    auto const text = render_proxy(now);
    EXPECT_THAT(text, HasSubstr("pgkeel_proxy_wait_seconds_bucket{le=\"0.0001\"} 1\n"));
    EXPECT_THAT(text, HasSubstr("pgkeel_proxy_wait_seconds_bucket{le=\"0.005\"} 2\n"));
    EXPECT_THAT(text, HasSubstr("pgkeel_proxy_wait_seconds_bucket{le=\"30\"} 2\n"));
    EXPECT_THAT(text, HasSubstr("pgkeel_proxy_wait_seconds_bucket{le=\"+Inf\"} 3\n"));
    EXPECT_THAT(text, HasSubstr("pgkeel_proxy_wait_seconds_count 3\n"));
    EXPECT_THAT(text, HasSubstr("pgkeel_proxy_wait_seconds_sum 60.002\n"));
}

// The API takes no request of more than 4 MB: the proxy's must fit, whatever its pools are named.
TEST(ProxyMetrics, all_pools_with_the_worst_names_fit_into_one_request) {
    for (std::size_t const length : {50U, 60U, 63U}) {
        proxy::Figures figures;
        for (int i = 0; i < 2000; ++i) {
            auto const number = std::to_string(i);
            auto& one = figures.of(number + std::string(length - number.size(), '\xff'), std::string(length, '\xff'));
            one.bytes_received = one.bytes_sent = one.queries = UINT64_MAX;
        }
        proxy::Snapshot now;
        for (auto const& [key, counts] : figures.pools) {
            auto& pool = now.pools.emplace_back();
            std::tie(pool.database, pool.user) = key;
            pool.counts = counts;
        }
        EXPECT_LT(render_proxy(now).size(), 4U << 20U) << now.pools.size() << " pools";
    }
}

}  // namespace
}  // namespace keel::web
