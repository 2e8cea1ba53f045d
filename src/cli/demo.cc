// `pgkeel demo`: finds an ordinary user and a directory, performs, and cleans up however it ends.
#include <errno.h>
#include <fmt/format.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <filesystem>

#include "cli/cli.h"
#include "cli/demo_play.h"
#include "cli/until_signal.h"
#include "runtime/files.h"

namespace keel::cli {

namespace {

namespace fs = std::filesystem;

// PostgreSQL does not run as root, and neither does anything else here.
Status become_ordinary_user() {
    if (::geteuid() != 0) return {};
    passwd const* user = ::getpwnam("postgres");
    if (user == nullptr) {
        return fail(Code::not_found, "the demo does not run as root, and there is no user postgres to become",
                    "install PostgreSQL (make deps), or run the demo as an ordinary user");
    }
    if (::initgroups(user->pw_name, user->pw_gid) != 0 || ::setgid(user->pw_gid) != 0 || ::setuid(user->pw_uid) != 0)
        return fail(runtime::system_error(errno, "becoming the user postgres"));
    ::setenv("HOME", user->pw_dir, 1);
    ::setenv("USER", user->pw_name, 1);
    return {};
}

Result<std::string> make_directory(std::string const& wanted) {
    std::error_code error;
    if (!wanted.empty()) {
        if (fs::exists(wanted, error) && !fs::is_empty(wanted, error)) {
            return fail(Code::conflict, wanted + " is not empty", "give the demo a directory of its own");
        }
        KEEL_CHECK(runtime::ensure_directory(wanted, 0700));
        return fs::absolute(wanted, error).string();
    }
    char const* temporary = ::getenv("TMPDIR");
    std::string path =
        std::string(temporary != nullptr && *temporary != '\0' ? temporary : "/tmp") + "/pgkeel-demo-XXXXXX";
    if (::mkdtemp(path.data()) == nullptr) return fail(runtime::system_error(errno, path));
    return path;
}

// Returns what perform() said; a signal ends it in between.
Result<Status> perform(runtime::Io& io, demo::Play& play, bool stay) {
    std::optional<Status> result;
    bool const interrupted = run_until_signal(io, [&]() -> runtime::Task<void> {
        result = co_await play.perform();
        if (*result && stay) {
            fmt::print("{}", play.directions());
            std::fflush(stdout);
            runtime::Event never(io);
            co_await never.wait();  // for the signal
        }
    });
    if (result) return *result;
    return fail(Code::unavailable, interrupted ? "interrupted" : "ended early");
}

int report(Result<Status> const& outcome, demo::Play const& play, std::string const& root) {
    if (!outcome) {
        fmt::print(stderr, "demo: {}; every process was ended\n", outcome.error().text);
        return kFailed;
    }
    if (!*outcome) {
        fmt::print(stderr, "demo: {}\n      logs and data are kept in {}\n", to_string(outcome->error()), root);
        return kFailed;
    }
    return play.good() ? kDone : kFailed;
}

}  // namespace

int run_demo(DemoOptions const& options) {
    if (auto status = become_ordinary_user(); !status) {
        fmt::print(stderr, "demo: {}\n", to_string(status.error()));
        return kFailed;
    }
    auto const root = make_directory(options.directory);
    if (!root) {
        fmt::print(stderr, "demo: {}\n", to_string(root.error()));
        return kFailed;
    }
    // The present directory may be closed to the user postgres, and PostgreSQL's programs insist on one.
    if (::chdir(root->c_str()) != 0) {
        fmt::print(stderr, "demo: {}\n", to_string(runtime::system_error(errno, *root)));
        return kFailed;
    }
    runtime::Io io;
    auto nodes = demo::Nodes::plan(io, *root);
    if (!nodes) {
        fmt::print(stderr, "demo: {}\n", to_string(nodes.error()));
        return kFailed;
    }
    auto const play = std::make_unique<demo::Play>(io, options, std::move(*nodes), *root);
    auto const outcome = perform(io, *play, options.stay);
    play->end();
    int const code = report(outcome, *play, *root);
    bool const keep = outcome.has_value() && code != kDone;
    std::error_code error;
    if (!keep) fs::remove_all(*root, error);
    return code;
}

}  // namespace keel::cli
