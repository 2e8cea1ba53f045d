// The etcd store against a real etcd (Debian's etcd-server), started and killed by these tests.
#include "consensus/etcd.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <csignal>
#include <deque>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <thread>

#include "consensus/relay.h"

namespace keel::consensus {
namespace {

namespace fs = std::filesystem;
using cluster::Record;
using cluster::StoreAnswer;
using cluster::Swapped;

// The event loop of these tests.
struct Loop {
    std::mutex mutex;
    std::condition_variable wake;
    std::deque<std::function<void()>> queue;

    auto poster() {
        return [this](std::function<void()> function) {
            std::lock_guard const lock(mutex);
            queue.push_back(std::move(function));
            wake.notify_one();
        };
    }
    // Runs what is posted until `done()`; false after 20 s.
    bool run_until(std::function<bool()> const& done) {
        auto const end = std::chrono::steady_clock::now() + 20s;
        while (!done()) {
            std::unique_lock lock(mutex);
            if (!wake.wait_until(lock, end, [this] { return !queue.empty(); })) return false;
            auto const function = std::move(queue.front());
            queue.pop_front();
            lock.unlock();
            function();
        }
        return true;
    }
    StoreAnswer read(Store& store) {
        std::optional<StoreAnswer> got;
        store.read([&](StoreAnswer answer) { got = std::move(answer); });
        EXPECT_TRUE(run_until([&] { return got.has_value(); }));
        return got.value_or(StoreAnswer{});
    }
    StoreAnswer swap(Store& store, std::uint64_t expected, std::string name) {
        std::optional<StoreAnswer> got;
        Record record;
        record.name = std::move(name);
        store.swap(expected, record, [&](StoreAnswer answer) { got = std::move(answer); });
        EXPECT_TRUE(run_until([&] { return got.has_value(); }));
        return got.value_or(StoreAnswer{});
    }
};

class EtcdTest : public testing::Test {
  protected:
    EtcdTest() {
        auto pattern = (fs::temp_directory_path() / "pgkeel-etcd-XXXXXX").string();
        directory = ::mkdtemp(pattern.data());
        port = free_port();
        peer_port = free_port();
    }
    ~EtcdTest() override {
        kill_etcd();
        fs::remove_all(directory);
    }

    static pid_t spawn(std::vector<std::string> words, fs::path const& output) {
        auto const parent = ::getpid();
        auto const pid = ::fork();
        if (pid != 0) return pid;
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (::getppid() != parent) ::_exit(1);
        int const log = ::open(output.c_str(), O_CREAT | O_WRONLY | O_APPEND, 0600);
        ::dup2(log, 1);
        ::dup2(log, 2);
        std::vector<char*> arguments;
        for (auto& word : words) arguments.push_back(word.data());
        arguments.push_back(nullptr);
        ::execvp(arguments[0], arguments.data());
        ::_exit(127);
    }
    int run(std::vector<std::string> words) const {
        int status = -1;
        ::waitpid(spawn(std::move(words), directory / "command.log"), &status, 0);
        return status;
    }

    void start_etcd(std::vector<std::string> more = {}) {
        auto const url = scheme + "127.0.0.1:" + std::to_string(port);
        auto const peer = "http://127.0.0.1:" + std::to_string(peer_port);
        std::vector<std::string> words{"etcd",
                                       "--data-dir",
                                       directory / "data",
                                       "--listen-client-urls",
                                       url,
                                       "--advertise-client-urls",
                                       url,
                                       "--listen-peer-urls",
                                       peer,
                                       "--initial-advertise-peer-urls",
                                       peer,
                                       "--initial-cluster",
                                       "default=" + peer,
                                       "--log-level",
                                       "error"};
        words.insert(words.end(), more.begin(), more.end());
        etcd = spawn(words, directory / "etcd.log");
        Loop wait;
        for (auto const end = std::chrono::steady_clock::now() + 20s; std::chrono::steady_clock::now() < end;) {
            auto const waiting = Etcd::open(options(), wait.poster());
            if (wait.read(**waiting).result == Swapped::done || ready(**waiting)) return;
            ASSERT_EQ(::waitpid(etcd, nullptr, WNOHANG), 0) << log();
        }
        FAIL() << "etcd did not come up: " << log();
    }
    // It answers, though it may demand a login.
    static bool ready(Etcd const& store) { return store.trouble().find("HTTP 4") != std::string::npos; }
    void kill_etcd() {
        if (etcd <= 0) return;
        ::kill(etcd, SIGKILL);
        ::waitpid(etcd, nullptr, 0);
        etcd = 0;
    }
    std::string log() const {
        std::ifstream in(directory / "etcd.log");
        return {std::istreambuf_iterator<char>(in), {}};
    }

    Etcd::Options options() const {
        Etcd::Options made;
        made.endpoints = {scheme + "127.0.0.1:" + std::to_string(port)};
        made.key = "/pgkeel/test/record";
        made.ca_file = ca_file;
        return made;
    }
    std::unique_ptr<Etcd> open(Etcd::Options given) {
        auto opened = Etcd::open(std::move(given), loop.poster());
        EXPECT_TRUE(opened);
        return std::move(*opened);
    }

    fs::path directory;
    std::string scheme = "http://", ca_file;
    int port = 0, peer_port = 0;
    pid_t etcd = 0;
    Loop loop;
};

TEST_F(EtcdTest, reads_and_swaps_by_revision) {
    start_etcd();
    auto const store = open(options());
    auto const nothing = loop.read(*store);
    EXPECT_EQ(nothing.result, Swapped::done);
    EXPECT_FALSE(nothing.record);

    auto const made = loop.swap(*store, 0, "one");
    ASSERT_EQ(made.result, Swapped::done);
    EXPECT_EQ(made.record->revision, 1U);
    EXPECT_EQ(loop.swap(*store, 1, "two").result, Swapped::done);
    auto const other = open(options());
    auto const late = loop.swap(*other, 1, "other");
    ASSERT_EQ(late.result, Swapped::conflict);
    EXPECT_EQ(late.record->name, "two");
    EXPECT_EQ(loop.swap(*other, 2, "three").result, Swapped::done);
    // The first store's idea of the key is stale now.
    EXPECT_EQ(loop.swap(*store, 2, "stale").record->name, "three");
    EXPECT_EQ(loop.swap(*store, 3, "four").result, Swapped::done);
    EXPECT_EQ(loop.read(*other).record->name, "four");
    EXPECT_EQ(store->trouble(), "");
}

TEST_F(EtcdTest, of_two_writers_each_revision_belongs_to_one) {
    start_etcd();
    std::vector<std::unique_ptr<Etcd>> stores;
    for (int i = 0; i < 2; ++i) stores.push_back(open(options()));
    loop.swap(*stores[0], 0, "first");
    int done = 0, ended = 0;
    std::function<void(int, std::uint64_t, int)> const write = [&](int who, std::uint64_t expected, int left) {
        if (left == 0) {
            ++ended;
            return;
        }
        stores[static_cast<std::size_t>(who)]->swap(expected, Record{}, [&, who, left](StoreAnswer answer) {
            ASSERT_NE(answer.result, Swapped::unknown);
            done += answer.result == Swapped::done ? 1 : 0;
            write(who, answer.record->revision, left - 1);
        });
    };
    write(0, 1, 40);
    write(1, 1, 40);
    ASSERT_TRUE(loop.run_until([&] { return ended == 2; }));
    EXPECT_EQ(loop.read(*stores[0]).record->revision, 1U + static_cast<std::uint64_t>(done));
}

TEST_F(EtcdTest, a_killed_etcd_gives_unknown_and_a_reason_and_comes_back) {
    start_etcd();
    auto const store = open(options());
    ASSERT_EQ(loop.swap(*store, 0, "one").result, Swapped::done);
    kill_etcd();
    EXPECT_EQ(loop.swap(*store, 1, "two").result, Swapped::unknown);
    EXPECT_EQ(loop.read(*store).result, Swapped::unknown);
    EXPECT_NE(store->trouble().find(std::to_string(port)), std::string::npos);
    EXPECT_NE(store->trouble().find("mend:"), std::string::npos);
    start_etcd();
    EXPECT_EQ(loop.read(*store).record->name, "one");
    EXPECT_EQ(store->trouble(), "");
}

TEST_F(EtcdTest, data_that_are_older_than_before_are_refused) {
    start_etcd();
    auto const store = open(options());
    ASSERT_EQ(loop.swap(*store, 0, "one").result, Swapped::done);
    auto known = options();
    known.known_revision = 2;
    auto const informed = open(known);
    EXPECT_EQ(loop.read(*informed).result, Swapped::unknown);
    EXPECT_EQ(loop.swap(*informed, 1, "two").result, Swapped::unknown);
    EXPECT_NE(informed->trouble().find("revision 1 of this cluster, but revision 2 was there before"),
              std::string::npos)
        << informed->trouble();
    EXPECT_EQ(loop.swap(*store, 1, "two").result, Swapped::done);
    EXPECT_EQ(loop.read(*informed).record->name, "two");
    EXPECT_EQ(informed->trouble(), "");

    kill_etcd();
    fs::remove_all(directory / "data");
    start_etcd();
    EXPECT_EQ(loop.read(*store).result, Swapped::unknown);
    EXPECT_EQ(loop.swap(*store, 2, "three").result, Swapped::unknown);
    EXPECT_NE(store->trouble().find("no record of this cluster"), std::string::npos) << store->trouble();
}

TEST_F(EtcdTest, another_endpoint_is_tried) {
    start_etcd();
    auto two = options();
    two.endpoints.insert(two.endpoints.begin(), "http://127.0.0.1:" + std::to_string(free_port()));
    auto const store = open(two);
    EXPECT_EQ(loop.swap(*store, 0, "one").result, Swapped::done);
    EXPECT_EQ(loop.swap(*store, 1, "two").result, Swapped::done);
}

TEST_F(EtcdTest, watches_through_a_restart) {
    start_etcd();
    auto const writer = open(options());
    auto const reader = open(options());
    ASSERT_EQ(loop.swap(*writer, 0, "one").result, Swapped::done);
    std::vector<std::uint64_t> seen;
    reader->watch([&](Record const& record) { seen.push_back(record.revision); });
    auto const sees = [&](std::uint64_t revision) { return !seen.empty() && seen.back() == revision; };
    ASSERT_TRUE(loop.run_until([&] { return sees(1); }));
    ASSERT_EQ(loop.swap(*writer, 1, "two").result, Swapped::done);
    ASSERT_TRUE(loop.run_until([&] { return sees(2); }));
    kill_etcd();
    start_etcd();
    ASSERT_EQ(loop.swap(*writer, 2, "three").result, Swapped::done);
    ASSERT_TRUE(loop.run_until([&] { return sees(3); }));
    EXPECT_TRUE(std::ranges::is_sorted(seen));
}

TEST_F(EtcdTest, a_lost_answer_is_unknown_though_it_happened) {
    start_etcd();
    auto const direct = open(options());
    ASSERT_EQ(loop.swap(*direct, 0, "one").result, Swapped::done);
    Relay const relay(port, "/v3/kv/txn");
    auto through = options();
    through.endpoints = {"http://127.0.0.1:" + std::to_string(relay.port)};
    auto const store = open(through);
    ASSERT_EQ(loop.read(*store).record->name, "one");
    auto const lost = loop.swap(*store, 1, "two");
    EXPECT_EQ(lost.result, Swapped::unknown);
    EXPECT_EQ(loop.read(*direct).record->name, "two");
    EXPECT_EQ(loop.read(*store).record->name, "two");
}

TEST_F(EtcdTest, speaks_tls_and_logs_in) {
    auto const key = (directory / "key.pem").string();
    ca_file = directory / "cert.pem";
    ASSERT_EQ(run({"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                   "-keyout", key, "-out", ca_file, "-days", "2", "-subj", "/CN=etcd", "-addext",
                   "subjectAltName=IP:127.0.0.1"}),
              0);
    scheme = "https://";
    start_etcd({"--cert-file", ca_file, "--key-file", key});
    std::vector<std::string> const etcdctl{
        "env", "ETCDCTL_API=3", "etcdctl", "--endpoints", options().endpoints[0], "--cacert", ca_file};
    auto const ctl = [&](std::vector<std::string> const& words) {
        auto all = etcdctl;
        all.insert(all.end(), words.begin(), words.end());
        return run(all);
    };
    for (auto const& words :
         std::vector<std::vector<std::string>>{{"user", "add", "root:secret"},
                                               {"user", "add", "keel:pass"},
                                               {"role", "add", "keel"},
                                               {"role", "grant-permission", "keel", "readwrite", "/pgkeel/test/record"},
                                               {"user", "grant-role", "keel", "keel"},
                                               {"auth", "enable"}}) {
        ASSERT_EQ(ctl(words), 0);
    }
    auto known = options();
    known.user = "keel";
    known.password = Secret("pass");
    auto const store = open(known);
    EXPECT_EQ(loop.swap(*store, 0, "one").result, Swapped::done);
    EXPECT_EQ(loop.read(*store).record->name, "one");
    std::vector<std::string> seen;
    store->watch([&](Record const& record) { seen.push_back(record.name); });
    ASSERT_EQ(loop.swap(*store, 1, "two").result, Swapped::done);
    ASSERT_TRUE(loop.run_until([&] { return !seen.empty() && seen.back() == "two"; }));

    known.password = Secret("wrong");
    auto const stranger = open(known);
    EXPECT_EQ(loop.read(*stranger).result, Swapped::unknown);
    EXPECT_NE(stranger->trouble().find("logging in as keel"), std::string::npos) << stranger->trouble();
    EXPECT_EQ(stranger->trouble().find("wrong"), std::string::npos);
    known.user.clear();
    auto const nobody = open(known);
    EXPECT_EQ(loop.swap(*nobody, 1, "two").result, Swapped::unknown);
    EXPECT_NE(nobody->trouble(), "");
    auto unknown_ca = options();
    unknown_ca.ca_file.clear();
    auto const distrusting = open(unknown_ca);
    EXPECT_EQ(loop.read(*distrusting).result, Swapped::unknown);
    EXPECT_NE(distrusting->trouble().find("certificate"), std::string::npos) << distrusting->trouble();
}

TEST_F(EtcdTest, refuses_settings_that_cannot_work) {
    auto const refused = [&](Etcd::Options const& given) { return !Etcd::open(given, loop.poster()).has_value(); };
    auto none = options();
    none.endpoints.clear();
    EXPECT_TRUE(refused(none));
    auto bare = options();
    bare.endpoints = {"127.0.0.1:2379"};
    EXPECT_TRUE(refused(bare));
    auto open_password = options();
    open_password.user = "keel";
    EXPECT_TRUE(refused(open_password));
}

}  // namespace
}  // namespace keel::consensus
