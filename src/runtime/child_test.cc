#include "runtime/child.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/files.h"
#include "runtime/testing.h"

namespace keel::runtime {
namespace {

using testing::Directory;
using testing::must;
using testing::run;
using testing::until;

TEST(Child, GivesItsLinesItsExitCodeAndTakesItsInput) {
    Io io;
    run(io, [](Io& one) -> Task<void> {
        std::vector<std::string> out, err;
        ChildSpec spec;
        spec.argv = {"sh", "-c", "cat; echo $NAME; echo wrong >&2; printf end; exit 3"};
        spec.environment = {"NAME=value"};
        spec.input = "first\nsecond\n";
        spec.out = Stream::lines([&](std::string_view line) { out.emplace_back(line); });
        spec.err = Stream::lines([&](std::string_view line) { err.emplace_back(line); });
        auto child = must(Child::spawn(one, std::move(spec)));
        auto const exit = co_await child.wait();
        EXPECT_EQ(to_string(exit), "exit code 3");
        EXPECT_EQ(out, (std::vector<std::string>{"first", "second", "value", "end"}));
        EXPECT_EQ(err, (std::vector<std::string>{"wrong"}));
        EXPECT_EQ((co_await child.wait()).code, 3);
        EXPECT_EQ(child.signal(SIGTERM).error().code, Code::not_found);
    }(io));
}

TEST(Child, TellsTheSignalThatKilledIt) {
    Io io;
    run(io, [](Io& one) -> Task<void> {
        auto child = must(Child::spawn(one, {.argv = {"sleep", "1000"}}));
        EXPECT_TRUE(child.running());
        EXPECT_TRUE(child.signal(SIGKILL));
        auto const exit = co_await child.wait();
        EXPECT_EQ(to_string(exit), "killed by SIGKILL");
        EXPECT_FALSE(child.running());
    }(io));
}

TEST(Child, AProgramThatCannotRunIsAnErrorThatNamesIt) {
    Io io;
    auto const missing = Child::spawn(io, {.argv = {"/nowhere/postgres"}});
    ASSERT_FALSE(missing);
    EXPECT_EQ(missing.error().code, Code::not_found);
    EXPECT_NE(missing.error().text.find("/nowhere/postgres"), std::string::npos) << missing.error().text;
    EXPECT_EQ(Child::spawn(io, {.argv = {"no-such-program"}}).error().code, Code::not_found);
    EXPECT_EQ(Child::spawn(io, {.argv = {"/etc/passwd"}}).error().code, Code::denied);
    auto const nowhere = Child::spawn(io, {.argv = {"true"}, .directory = "/nowhere"});
    ASSERT_FALSE(nowhere);
    EXPECT_NE(nowhere.error().text.find("directory"), std::string::npos) << nowhere.error().text;
}

TEST(Child, DropsToTheUserAskedFor) {
    if (::geteuid() != 0) GTEST_SKIP() << "only root can change the user";
    Io io;
    run(io, [](Io& one) -> Task<void> {
        ChildSpec spec;
        spec.argv = {"sh", "-c", "id -u; id -g"};
        spec.user = 65534;
        spec.group = 65534;
        auto const finished = must(co_await run_child(one, std::move(spec), 10s));
        EXPECT_EQ(finished.output, "65534\n65534\n");
    }(io));
}

TEST(Child, InheritsNoDescriptorsButItsThree) {
    Io io;
    run(io, [](Io& one) -> Task<void> {
        int const leaky = ::dup(0);  // without CLOEXEC
        auto const finished = must(co_await run_child(one, {.argv = {"ls", "/proc/self/fd"}}, 10s));
        ::close(leaky);
        EXPECT_EQ(finished.output, "0\n1\n2\n3\n");  // 3: ls's own
    }(io));
}

TEST(Child, RunWithALimitKillsWhatIsTooSlow) {
    Io io;
    run(io, [](Io& one) -> Task<void> {
        auto const slow = co_await run_child(one, {.argv = {"sh", "-c", "echo begun; exec sleep 1000"}}, 200ms);
        EXPECT_FALSE(slow.has_value());
        EXPECT_EQ(slow.error().code, Code::timeout);
        EXPECT_NE(slow.error().text.find("begun"), std::string::npos) << slow.error().text;
    }(io));
}

TEST(Child, ALineWithoutEndIsCut) {
    Io io;
    run(io, [](Io& one) -> Task<void> {
        std::vector<std::size_t> sizes;
        ChildSpec spec;
        spec.argv = {"sh", "-c", "head -c 200000 /dev/zero; echo; echo next"};
        spec.out = Stream::lines([&](std::string_view line) { sizes.push_back(line.size()); });
        auto child = must(Child::spawn(one, std::move(spec)));
        co_await child.wait();
        EXPECT_EQ(sizes, (std::vector<std::size_t>{16 * 1024, 4}));
    }(io));
}

TEST(PidFd, NoticesTheDeathOfAProcessThatIsNotOurChild) {
    Io io;
    Directory const directory;
    // The grandchild is adopted by init or a subreaper, as PostgreSQL is when the agent dies.
    auto const pid_file = directory / "pid";
    pid_t const middle = ::fork();
    if (middle == 0) {
        auto const command = "setsid sleep 1000 >/dev/null 2>&1 & echo $! > " + pid_file;
        ::execl("/bin/sh", "sh", "-c", command.c_str(), nullptr);
        ::_exit(127);
    }
    ASSERT_EQ(::waitpid(middle, nullptr, 0), middle);
    pid_t const pid = std::stoi(must(read_file(pid_file, 100)));
    auto process = must(PidFd::open(io, pid));
    EXPECT_TRUE(process.alive());
    EXPECT_GT(must(process_start_ticks(pid)), 0u);
    run(io, [](PidFd& one) -> Task<void> {
        EXPECT_TRUE(one.signal(SIGKILL));
        co_await one.dead();
        EXPECT_FALSE(one.alive());
    }(process));
    EXPECT_EQ(PidFd::open(io, 0x3fffff).error().code, Code::not_found);
}

TEST(Orphans, AreReapedButNotTheChildrenThatHaveAnOwner) {
    Io io;
    ASSERT_TRUE(become_subreaper());
    run(io, [](Io& one) -> Task<void> {
        auto owned = must(Child::spawn(one, {.argv = {"sleep", "1000"}}));
        auto const orphan =
            must(co_await run_child(one, {.argv = {"sh", "-c", "sleep 0.05 >/dev/null 2>&1 & echo $!"}}, 10s));
        int reaped = 0;
        EXPECT_TRUE(co_await until([&] { return (reaped += reap_orphans()) >= 1; }));
        EXPECT_TRUE(owned.signal(SIGKILL));
        EXPECT_TRUE(co_await until([&] { return reap_orphans() == 0; }));
        EXPECT_EQ((co_await owned.wait()).signal, SIGKILL);
    }(io));
}

}  // namespace
}  // namespace keel::runtime
