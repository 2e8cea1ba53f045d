// A new node's directory: made, filled as the node's user, and removed again when that fails.
#include <fmt/format.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>

#include "agent/privileges.h"
#include "cli/new_node.h"
#include "cli/terminal.h"
#include "postgres/process.h"
#include "runtime/files.h"

namespace keel::cli {

namespace {

namespace fs = std::filesystem;

// There while a run fills the directory: what lies beside it is not a node yet.
constexpr char const* kUnfinished = "setup-unfinished";
// All that a run makes.
constexpr std::array<char const*, 7> kMade = {"data", "pki", "state", "run", "log", "node.toml", "identity.json"};

void remove_made(std::string const& directory) {
    std::error_code error;
    for (auto const* name : kMade) {
        fs::remove_all(directory + "/" + name, error);
        fs::remove(directory + "/" + name + ".new", error);  // of an interrupted write
    }
    fs::remove(directory + "/" + kUnfinished, error);
}

// Empty, absent, or left by a run that was killed.
Status check_empty(std::string const& directory) {
    std::error_code error;
    if (!fs::exists(directory, error)) return {};
    if (!fs::is_directory(directory, error))
        return fail(Code::invalid, directory + " is not a directory", "name another one with --dir");
    if (fs::exists(directory + "/" + kUnfinished, error)) return {};
    std::vector<std::string> names;
    for (auto const& entry : fs::directory_iterator(directory, error)) names.push_back(entry.path().filename());
    if (error) return fail(Code::denied, directory + ": " + error.message(), "run this as root or as its owner");
    if (names.empty()) return {};
    std::ranges::sort(names);
    if (std::ranges::find(names, "identity.json") != names.end())
        return fail(Code::conflict, directory + " is the directory of a node already",
                    "name another one with --dir; to give that node up: pgkeel leave, then remove the directory");
    if (names.size() > 5) names.resize(5);
    return fail(Code::conflict, fmt::format("{} is not empty: it has {}", directory, fmt::join(names, ", ")),
                "name another one with --dir, or move that away");
}

// True when it was made here.
Result<bool> make_directory(config::NodeConfig const& config) {
    auto const& directory = config.directory;
    std::error_code error;
    bool const made = !fs::exists(directory, error);
    if (made) {
        fs::create_directories(fs::path(directory).parent_path(), error);
        if (error) return fail(Code::denied, directory + ": " + error.message(), "run this as root, or choose --dir");
        if (::mkdir(directory.c_str(), 0700) != 0) return fail(runtime::system_error(errno, directory));
    }
    if (::geteuid() == 0) {
        KEEL_TRY(auto const account, agent::find_account(config.user));
        if (::chown(directory.c_str(), account.user, account.group) != 0)
            return fail(runtime::system_error(errno, directory + ": giving it to " + config.user));
    }
    return made;
}

// In the directory, as the node's user.
Done fill_marked(std::string const& directory, std::function<Done()> const& fill) {
    auto const marker = directory + "/" + kUnfinished;
    if (::access(directory.c_str(), R_OK | W_OK | X_OK) != 0)
        return std::unexpected(Failure(Error{Code::denied, "the node's user cannot write to " + directory,
                                             "see to it that the directories above it may be entered"}));
    if (runtime::exists(marker)) {
        print_note("removing what an interrupted run left in " + directory);
        postgres::end_leftovers(directory + "/data");  // an initdb that outlived it would remove our data at its end
        remove_made(directory);
    }
    KEEL_CHECK(runtime::write_atomically(marker, "pgkeel is setting this directory up; not a node yet\n", 0600));
    auto done = fill();
    if (!done) {
        remove_made(directory);
        return done;
    }
    KEEL_CHECK(runtime::remove_durably(marker));
    return {};
}

// What `work` does in a child that has become the user; it has said everything itself.
Done in_child_as(std::string const& user, std::function<Done()> const& work) {
    std::fflush(stdout);
    pid_t const parent = ::getpid();
    pid_t const child = ::fork();
    if (child < 0) return std::unexpected(Failure(runtime::system_error(errno, "starting a process")));
    if (child == 0) {
        int code = kDone;
        auto done = [&]() -> Done {
            KEEL_CHECK(agent::become_user(user));
            // Behind it, since a change of user takes it back (prctl(2)).
            ::prctl(PR_SET_PDEATHSIG, SIGTERM);
            if (::getppid() != parent) return stop(kFailed, Code::unavailable, "ended");
            return work();
        }();
        if (!done) {
            if (!done.error().error.text.empty()) print_error(done.error().error);
            code = done.error().exit_code;
        }
        std::fflush(stdout);
        ::_exit(code);
    }
    int how = 0;
    while (::waitpid(child, &how, 0) < 0 && errno == EINTR) {
    }
    if (WIFEXITED(how) && WEXITSTATUS(how) == kDone) return {};
    if (WIFEXITED(how)) return stop(WEXITSTATUS(how), Code::internal, "");
    return stop(kFailed, Code::internal, fmt::format("ended by signal {}", WTERMSIG(how)), "run it again");
}

}  // namespace

Done fill_directory(config::NodeConfig const& config, std::function<Done()> const& fill) {
    auto const& directory = config.directory;
    if (::geteuid() == 0) KEEL_CHECK(agent::find_account(config.user));
    KEEL_CHECK(check_empty(directory));
    KEEL_TRY(bool const made, make_directory(config));
    auto const work = [&] { return fill_marked(directory, fill); };
    auto done = ::geteuid() == 0 ? in_child_as(config.user, work) : work();
    if (!done && made) ::rmdir(directory.c_str());
    return done;
}

}  // namespace keel::cli
