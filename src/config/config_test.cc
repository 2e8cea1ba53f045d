#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "config/node_config.h"
#include "config/postgres_parameters.h"
#include "config/settings.h"
#include "config/size.h"

namespace keel::config {
namespace {

using testing::HasSubstr;

std::string const kGood = "[node]\nname = \"anna\"\naddress = \"10.0.0.1\"\n";

Parsed parse(std::string const& text) { return parse_node_config(text, "node.toml", "/srv/keel"); }

TEST(NodeConfig, a_short_file_is_enough) {
    auto const parsed = parse(kGood);
    EXPECT_TRUE(parsed.usable()) << to_string(parsed.problems);
    EXPECT_EQ(parsed.config.directory, "/srv/keel");
    EXPECT_EQ(parsed.config.bind, "10.0.0.1");
    EXPECT_EQ(parsed.config.postgres.listen, std::vector<std::string>{"10.0.0.1"});
    EXPECT_EQ(parsed.config.peer_port, 7432);
    EXPECT_EQ(parsed.config.agent_socket(), "/srv/keel/run/agent.sock");
}

TEST(NodeConfig, a_proxy_host_needs_only_its_name) {
    auto const parsed = parse("[node]\nname = \"app1\"\nkind = \"proxy\"\n");
    EXPECT_TRUE(parsed.usable()) << to_string(parsed.problems);
    EXPECT_EQ(parsed.config.proxy.listen, std::vector<std::string>{"127.0.0.1"});
    auto const again = parse(render_node_config(parsed.config));
    EXPECT_TRUE(again.usable()) << to_string(again.problems);
    EXPECT_EQ(again.config.kind, cluster::Kind::proxy);
    EXPECT_EQ(again.config.proxy.listen, parsed.config.proxy.listen);
}

struct Wrong {
    char const* sentence;
    std::string text;
    char const* problem;  // expected in the messages
    char const* mend;
};

std::string const kHost = "[node]\nname = \"app1\"\nkind = \"proxy\"\n";

std::vector<Wrong> const kWrong = {
    {"a proxy host has no PostgreSQL", kHost + "[postgres]\nport = 5433\n",
     "node.toml:4: a proxy host has no [postgres]", "take the section out"},
    {"a proxy host has no address", kHost + "address = \"10.0.0.9\"\n", "node.toml:4: node.address has no meaning",
     "what the proxy listens on is in [proxy]"},
    {"a proxy host that must have TLS needs a certificate for it", kHost + "[proxy]\ntls = \"require\"\n",
     "node.toml:5: proxy.tls = \"require\" needs a certificate", "cert_file and key_file"},
    {"a proxy host's ports differ", kHost + "[proxy]\nport = 6433\n",
     "proxy.port and proxy.read_write_port are both 6433", "a port of its own"},
    {"a repository that is neither a path nor a bucket", kGood + "[backup]\nrepository = \"mnt/x\"\n",
     "node.toml:5: backup.repository", "s3://bucket/prefix"},
    {"a bucket needs its region", kGood + "[backup]\nrepository = \"s3://b/x\"\n", "backup.s3_region is missing",
     "eu-central-1"},
    {"a bucket needs a key", kGood + "[backup]\nrepository = \"s3://b/x\"\ns3_region = \"r\"\n",
     "backup.s3_credentials_file is missing", "0600"},
    {"an address of a bucket without one", kGood + "[backup]\nrepository = \"s3:///x\"\n", "names no bucket",
     "s3://bucket/prefix"},
    {"an endpoint without a scheme",
     kGood + "[backup]\nrepository = \"s3://b\"\ns3_endpoint = \"store:9000\"\ns3_region = \"r\"\n",
     "backup.s3_endpoint = \"store:9000\" is no URL", "https://store:9000"},
    {"a directory has no region", kGood + "[backup]\nrepository = \"/mnt/x\"\ns3_region = \"r\"\n",
     "node.toml:6: backup.s3_region has no meaning", "s3://"},
    {"a copy of nothing", kGood + "[backup.copies.offsite]\nrepository = \"/mnt/y\"\n",
     "node.toml:5: copy offsite is one of nothing", "[backup]"},
    {"a copy in the same place",
     kGood + "[backup]\nrepository = \"/mnt/x\"\n[backup.copies.offsite]\nrepository = \"/mnt/x\"\n",
     "node.toml:7: /mnt/x is named twice", "a place of its own"},
    {"a copy in a bucket without its region",
     kGood + "[backup]\nrepository = \"/mnt/x\"\n[backup.copies.offsite]\nrepository = \"s3://b/x\"\n",
     "backup.copies.offsite.s3_region is missing", "eu-central-1"},
    {"an unknown key of a copy",
     kGood + "[backup]\nrepository = \"/mnt/x\"\n[backup.copies.offsite]\nrepository = \"/mnt/y\"\nscratch = \"/s\"\n",
     "scratch", ""},
    {"a key file by a relative path", kGood + "[backup]\nrepository = \"/mnt/x\"\nencryption_key_file = \"key\"\n",
     "node.toml:6: backup.encryption_key_file", "begin it with '/'"},
    {"a syntax error has its line", "[node]\nname = anna\n", "node.toml:2: not TOML", "quotes"},
    {"an unknown section is named with the one that was meant", kGood + "[postgre]\nport = 1\n",
     "node.toml:4: unknown section [postgre] (did you mean \"postgres\"?)", "take it out"},
    {"an unknown key is named with the one that was meant", kGood + "peer_prot = 1\n",
     "node.toml:4: unknown key peer_prot in [node] (did you mean \"peer_port\"?)", "take it out"},
    {"a key in the wrong section is sent to its own", kGood + "clone_rate_kbytes_max = 1\n",
     "unknown key clone_rate_kbytes_max in [node]", "it belongs into [postgres]"},
    {"a key that two sections have is not sent to one of them", kGood + "port = 1\n",
     "node.toml:4: unknown key port in [node]", "it belongs into [postgres] or [proxy]"},
    {"a name for the proxy to listen on", kGood + "[proxy]\nlisten = [\"10.0.0.1\", \"localhost\"]\n",
     "node.toml:5: proxy.listen: \"localhost\" is not an IP address", "listen = [\"10.0.0.1\"]"},
    {"an asterisk for the proxy to listen on", kGood + "[proxy]\nlisten = \"*\"\n",
     "node.toml:5: proxy.listen: \"*\" is not an IP address", "[\"0.0.0.0\"]"},
    {"three quarters of an address", kGood + "[proxy]\nlisten = \"10.0.1\"\n",
     "node.toml:5: proxy.listen: \"10.0.1\" is not", "all of them"},
    {"a number in an address that is too big", kGood + "[proxy]\nlisten = \"10.0.0.256\"\n",
     "node.toml:5: proxy.listen: \"10.0.0.256\" is not", "all of them"},
    {"a PostgreSQL parameter in [postgres] is sent one level down", kGood + "[postgres]\nshared_buffers = \"1GB\"\n",
     "unknown key shared_buffers in [postgres]", "[postgres.parameters]"},
    {"the data directory cannot be moved", kGood + "[postgres]\ndata = \"/x\"\n", "always <dir>/data", "take the line"},
    {"a text where a number belongs", kGood + "peer_port = \"7432\"\n", "node.toml:4: node.peer_port is a string",
     "a whole number"},
    {"a number where a text belongs", "[node]\nname = 5\naddress = \"a\"\n", "node.toml:2: node.name is a",
     "a text in quotes"},
    {"rules in a file that depends on where it was started", kGood + "[proxy]\nhba_file = \"hba.conf\"\n",
     "node.toml:5: proxy.hba_file = \"hba.conf\" is not an absolute path", "begin it with '/'"},
    {"clients' certificates without TLS", kGood + "[proxy]\ntls = \"off\"\nclient_ca_file = \"/ca.crt\"\n",
     "node.toml:6: proxy.client_ca_file has no meaning: clients are not offered TLS", "set tls = \"allow\""},
    {"the same on a proxy host", kHost + "[proxy]\nclient_ca_file = \"/ca.crt\"\n",
     "node.toml:5: proxy.client_ca_file has no meaning", "cert_file and key_file"},
    {"an endpoint without port and tag", kGood + "[proxy.endpoints.reports]\npool_size = 3\n",
     "node.toml:4: endpoint reports has no port", "port = 6435"},
    {"an endpoint with a tag that nobody can have",
     kGood + "[proxy.endpoints.reports]\nport = 6435\ntag = \"analytic\"\n",
     "node.toml:6: endpoint reports: no member can have the tag \"analytic\"", "domain=NAME"},
    {"an endpoint on a port that is taken", kGood + "[proxy.endpoints.reports]\nport = 6433\ntag = \"analytics\"\n",
     "proxy.read_write_port and proxy.endpoints.reports.port are both 6433", "a port of its own"},
    {"an endpoint on PostgreSQL's port", kGood + "[proxy.endpoints.reports]\nport = 5432\ntag = \"analytics\"\n",
     "proxy.endpoints.reports.port and postgres.port are both 5432", "a port of its own"},
    {"an endpoint with a key of something else",
     kGood + "[proxy.endpoints.reports]\nport = 6435\ntag = \"analytics\"\npool = \"session\"\n",
     "node.toml:7: unknown key pool in [reports]", "[proxy]"},
    {"endpoints that are none", kGood + "[proxy]\nendpoints = 3\n", "node.toml:5: proxy.endpoints is a",
     "[proxy.endpoints.<name>]"},
    {"a port out of range", kGood + "api_port = 70000\n", "node.toml:4: node.api_port = 70000 is out of range",
     "1..65535"},
    {"a value that is none of the known names", kGood + "[log]\nlevel = \"inf\"\n",
     "node.toml:5: log.level = \"inf\" is not known (did you mean \"info\"?)", "debug, info, warning, error"},
    {"a section that is a value", "node = 5\n", "node is a section", "[node]"},
    {"a missing name", "[node]\naddress = \"a\"\n", "node.name is missing", "name = \"anna\""},
    {"a name that is none", "[node]\nname = \"Anna Maria\"\naddress = \"a\"\n",
     "node.toml:2: node.name = \"Anna Maria\"", "a-z"},
    {"an address that nobody can reach", "[node]\nname = \"anna\"\naddress = \"0.0.0.0\"\n",
     "node.toml:3: node.address", "node.bind"},
    {"root as PostgreSQL's user", kGood + "user = \"root\"\n", "node.toml:4: PostgreSQL must not run as root",
     "ordinary user"},
    {"two ports that are one", kGood + "peer_port = 8008\n", "node.peer_port and node.api_port are both 8008", "own"},
    {"a directory that is not where the file lies", kGood + "dir = \"/elsewhere\"\n",
     "node.toml:4: node.dir = \"/elsewhere\", but the file lies in /srv/keel", "take the line out"},
    {"an owned parameter is refused with the reason",
     kGood + "[postgres.parameters]\nsynchronous_standby_names = \"*\"\n",
     "node.toml:5: synchronous_standby_names is set by pgkeel itself: the cluster's mode", "remove it"},
    {"a parameter that defeats the promise", kGood + "[postgres.parameters]\nsynchronous_commit = false\n",
     "synchronous_commit = off would acknowledge commits that no standby has", "mode async"},
    {"a table as a parameter's value", kGood + "[postgres.parameters]\nauto_explain.log_min_duration = \"1s\"\n",
     "the value of auto_explain is neither", "in quotes"},
    {"etcd without endpoints", kGood + "[store]\nkind = \"etcd\"\n", "no endpoints are named", "https://"},
    {"etcd's keys without etcd", kGood + "[store]\nuser = \"a\"\n", "store.user has no meaning", "kind = \"etcd\""},
    {"a password over plain HTTP",
     kGood + "[store]\nkind = \"etcd\"\nendpoints = \"http://e:2379\"\nuser = \"a\"\npassword_file = \"/p\"\n",
     "a password would go over plain HTTP", "https://"},
    {"an endpoint without its scheme", kGood + "[store]\nkind = \"etcd\"\nendpoints = [\"e:2379\"]\n",
     "\"e:2379\" is no URL", "https://e:2379"},
    {"preferred and never promoted at once", kGood + "[tags]\nnofailover = true\npriority = 5\n",
     "node.toml:6: tags.priority is above 0", "one of the two"},
    {"a member that clones from itself", kGood + "[tags]\nclonefrom = \"anna\"\n", "names this node itself",
     "another member"},
    {"a witness with PostgreSQL", kGood + "kind = \"witness\"\n[postgres]\nport = 1\n", "a witness has no PostgreSQL",
     "kind = \"data\""},
};

TEST(NodeConfig, every_problem_says_where_what_and_how_to_mend) {
    for (auto const& row : kWrong) {
        SCOPED_TRACE(row.sentence);
        auto const parsed = parse(row.text);
        EXPECT_FALSE(parsed.usable());
        auto const text = to_string(parsed.problems);
        EXPECT_THAT(text, HasSubstr(row.problem));
        EXPECT_THAT(text, HasSubstr(row.mend));
        for (auto const& problem : parsed.problems) EXPECT_FALSE(problem.mend.empty()) << problem.text;
    }
}

TEST(NodeConfig, the_proxy_listens_on_addresses) {
    auto const parsed = parse(kGood + "[proxy]\nlisten = [\"0.0.0.0\", \"::\", \"::1\", \"fe80::1%eth0\"]\n");
    EXPECT_TRUE(parsed.usable()) << to_string(parsed.problems);
    EXPECT_EQ(parsed.config.proxy.listen.size(), 4U);
}

TEST(NodeConfig, all_problems_are_collected_in_the_order_of_their_lines) {
    auto const parsed =
        parse("[node]\nnmae = \"anna\"\naddress = 1\npeer_port = 0\n[sotre]\n[log]\nformat = \"xml\"\n");
    std::vector<int> lines;
    for (auto const& problem : parsed.problems) lines.push_back(problem.line);
    EXPECT_TRUE(std::ranges::is_sorted(lines));
    EXPECT_GE(parsed.problems.size(), 6U) << to_string(parsed.problems);
}

TEST(NodeConfig, the_rendered_file_reads_back_as_the_same_settings) {
    NodeConfig config;
    config.name = "bela";
    config.directory = "/srv/keel";
    config.address = config.bind = "::1";
    config.api_port = 18008;
    config.postgres.listen = {"::1", "localhost"};
    config.postgres.parameters = {{"auto_explain.log_min_duration", "1s"}, {"search_path", "\"a\\b\", c"}};
    config.tags.spare = true;
    config.tags.domain = "rack \"7\"";
    config.proxy.endpoints = {{"east \"1\"", 6440, "domain=east", ProxyBalance::random, 5, 7, 8, true}};
    config.backup.repository = "/mnt/backup";
    config.backup.copies.resize(1);
    config.backup.copies[0].name = "offsite";
    config.backup.copies[0].repository = "s3://bucket/prefix";
    config.backup.copies[0].s3_region = "r";
    config.backup.copies[0].s3_credentials_file = "/etc/s3";
    auto const parsed = parse(render_node_config(config));
    ASSERT_TRUE(parsed.problems.empty()) << to_string(parsed.problems);
    EXPECT_EQ(parsed.config.backup.copies, config.backup.copies);
    EXPECT_EQ(parsed.config.name, "bela");
    EXPECT_EQ(parsed.config.address, "::1");
    EXPECT_EQ(parsed.config.api_port, 18008);
    EXPECT_EQ(parsed.config.postgres.listen, config.postgres.listen);
    EXPECT_EQ(parsed.config.postgres.parameters, config.postgres.parameters);
    EXPECT_EQ(parsed.config.proxy.endpoints, config.proxy.endpoints);
    EXPECT_TRUE(parsed.config.tags.spare);
    EXPECT_EQ(parsed.config.tags.domain, config.tags.domain);
    EXPECT_EQ(render_node_config(parsed.config), render_node_config(config));
}

TEST(NodeConfig, a_rendered_witness_and_an_etcd_store_read_back) {
    NodeConfig config;
    config.name = "w";
    config.directory = "/srv/keel";
    config.address = config.bind = "w.example";
    config.kind = cluster::Kind::witness;
    config.store = {StoreKind::etcd, {"https://e1:2379"}, "/other", "u", "/etc/p", "/ca", "/crt", "/key"};
    auto const parsed = parse(render_node_config(config));
    ASSERT_TRUE(parsed.problems.empty()) << to_string(parsed.problems);
    EXPECT_EQ(parsed.config.store.endpoints, config.store.endpoints);
    EXPECT_EQ(parsed.config.store.key_file, "/key");
    EXPECT_EQ(parsed.config.kind, cluster::Kind::witness);
}

TEST(Settings, a_value_is_read_by_its_type_and_limits) {
    struct Row {
        char const* name;
        char const* value;
        char const* read;   // what get says; empty: refused
        char const* wrong;  // expected in the refusal
    };
    std::vector<Row> const rows = {
        {"mode", "strict", "strict", ""},
        {"mode", "sync", "", "\"sync\" is none of its values"},
        {"quorum", "2", "2", ""},
        {"quorum", "0", "", "not within 1..16"},
        {"quorum", "two", "", "not a whole number"},
        {"profile", "wan", "wan", ""},
        {"failover_lag_bytes_max", "64MB", "64MB", ""},
        {"failover_lag_bytes_max", "64M", "64MB", ""},
        {"failover_lag_bytes_max", "lots", "", "not a size"},
        {"evict_after_ms", "5", "", "not within 300..600000"},
        {"qourum", "2", "", "did you mean \"quorum\"?"},
        {"work_mem", "8MB", "", "no setting"},
        {"postgres.work_mem", "8MB", "8MB", ""},
        {"postgres.port", "1", "", "node.toml"},
        {"postgres.wal_level", "minimal", "", "set by pgkeel itself"},
        {"postgres.", "x", "", "not the name of"},
    };
    for (auto const& row : rows) {
        SCOPED_TRACE(std::string(row.name) + " = " + row.value);
        cluster::Settings settings;
        auto const change = set_setting(settings, row.name, row.value);
        if (*row.read == '\0') {
            ASSERT_FALSE(change);
            EXPECT_THAT(change.error().text + change.error().mend, HasSubstr(row.wrong));
            EXPECT_FALSE(change.error().mend.empty());
        } else {
            ASSERT_TRUE(change) << change.error().text;
            EXPECT_EQ(get_setting(settings, row.name).value(), row.read);
        }
    }
}

TEST(Settings, a_restart_only_parameter_says_so) {
    cluster::Settings settings;
    auto const restart = set_setting(settings, "postgres.shared_buffers", "1GB");
    auto const reload = set_setting(settings, "postgres.work_mem", "8MB");
    EXPECT_EQ(restart->scope, Scope::restart);
    EXPECT_EQ(reload->scope, Scope::reload);
    EXPECT_EQ(advice({*reload}), "");
    EXPECT_EQ(advice({*restart, *reload}), "postgres.shared_buffers needs a restart: pgkeel restart");
}

TEST(Settings, the_edited_text_reads_back_and_every_line_that_is_wrong_is_named) {
    cluster::Settings before;
    before.quorum = 2;
    before.postgres["work_mem"] = "8MB";
    before.postgres["shared_buffers"] = "1GB";
    auto const same = parse_settings(render_settings(before), before, "settings");
    EXPECT_TRUE(same.problems.empty()) << to_string(same.problems);
    EXPECT_TRUE(same.changes.empty()) << to_string(same.changes);

    auto const edited = parse_settings("quorum = 3\npostgres.work_mem = '16MB'\n", before, "settings");
    EXPECT_EQ(to_string(edited.changes),
              "quorum: 2 -> 3, postgres.shared_buffers: 1GB -> default, postgres.work_mem: 8MB -> 16MB");
    auto const wrong = parse_settings("mode quorum\nquorum = 1\nquorum = 2\nmdoe = async\n", before, "settings");
    ASSERT_EQ(wrong.problems.size(), 3U);
    EXPECT_EQ(wrong.problems[0].line, 1);
    EXPECT_THAT(wrong.problems[1].text, HasSubstr("stands in line 2 too"));
    EXPECT_THAT(wrong.problems[2].text, HasSubstr("did you mean \"mode\"?"));
}

TEST(Settings, the_documented_defaults_are_the_real_ones) {
    for (auto const& setting : settings()) {
        EXPECT_EQ(get_setting(cluster::Settings{}, setting.name).value(), setting.standard) << setting.name;
    }
}

TEST(Size, reads_what_it_writes) {
    for (std::uint64_t const bytes : {0ULL, 1ULL, 1000ULL, 1024ULL, 16777216ULL, 1099511627776ULL}) {
        EXPECT_EQ(parse_size(size_text(bytes)), bytes) << size_text(bytes);
    }
    EXPECT_EQ(parse_size("10MB"), 10485760U);
    EXPECT_EQ(parse_size("10 mb"), 10485760U);
    EXPECT_EQ(parse_size("99999999999TB"), std::nullopt);
    EXPECT_EQ(parse_size("MB"), std::nullopt);
}

TEST(Closest, means_a_near_word_only) {
    EXPECT_EQ(closest("prot", {"port", "peer"}), "port");
    EXPECT_EQ(closest("xyz", {"port", "peer"}), "");
    EXPECT_EQ(closest("", {"port"}), "");
}

}  // namespace
}  // namespace keel::config
