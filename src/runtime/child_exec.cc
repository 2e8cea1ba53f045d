#include "runtime/child_exec.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "runtime/files.h"

extern char** environ;

namespace keel::runtime {

namespace {

// A descriptor above 2, so that dup2 in the child never meets its own target.
class Fd {
  public:
    Fd() = default;
    explicit Fd(int number) {
        if (number < 0 || number > 2) {
            number_ = number;
        } else {
            number_ = ::fcntl(number, F_DUPFD_CLOEXEC, 3);
            ::close(number);
        }
    }
    Fd(Fd&& other) noexcept : number_(other.release()) {}
    Fd& operator=(Fd&& other) noexcept {
        std::swap(number_, other.number_);
        return *this;
    }
    ~Fd() {
        if (number_ >= 0) ::close(number_);
    }
    int get() const { return number_; }
    int release() { return std::exchange(number_, -1); }

  private:
    int number_ = -1;
};

struct Pipe {
    Fd read, write;
};

Result<Pipe> make_pipe() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return fail(system_error(errno, "pipe"));
    return Pipe{Fd(ends[0]), Fd(ends[1])};
}

// What the child needs, as plain memory.
struct Plan {
    std::string program;
    std::vector<char*> argv;
    std::vector<std::string> environment_texts;
    std::vector<char*> environment;
    std::vector<gid_t> groups;
    int streams[3] = {-1, -1, -1};  // -1: inherit
    int report = -1;
    pid_t parent = 0;
};

struct Failure {
    int step = 0;
    int error_number = 0;
};
constexpr char const* kSteps[] = {"set up its streams", "change the directory", "change the user", "be executed"};

Result<std::string> find_program(std::string const& name) {
    if (name.find('/') != std::string::npos) return name;
    char const* path = ::getenv("PATH");
    std::string_view rest = path != nullptr ? path : "/usr/bin:/bin";
    while (!rest.empty()) {
        auto const colon = rest.find(':');
        auto const candidate = std::string(rest.substr(0, colon)) + "/" + name;
        if (::access(candidate.c_str(), X_OK) == 0) return candidate;
        rest = colon == rest.npos ? std::string_view() : rest.substr(colon + 1);
    }
    return fail(Code::not_found, "program " + name + " is not in PATH", "install it, or give its full path");
}

void plan_environment(ChildSpec const& spec, Plan& plan) {
    auto const name_of = [](std::string_view text) { return text.substr(0, text.find('=')); };
    if (!spec.bare_environment) {
        for (char** one = environ; one != nullptr && *one != nullptr; ++one) {
            bool overridden = false;
            for (auto const& added : spec.environment) overridden |= name_of(added) == name_of(*one);
            if (!overridden) plan.environment_texts.emplace_back(*one);
        }
    }
    for (auto const& added : spec.environment) plan.environment_texts.push_back(added);
    for (auto& text : plan.environment_texts) plan.environment.push_back(text.data());
    plan.environment.push_back(nullptr);
}

void plan_groups(ChildSpec const& spec, Plan& plan) {
    if (!spec.user) return;
    gid_t const group = spec.group.value_or(::getgid());
    int count = 64;
    plan.groups.resize(64, group);
    passwd const* user = ::getpwuid(*spec.user);
    if (user == nullptr || ::getgrouplist(user->pw_name, group, plan.groups.data(), &count) < 0) count = 1;
    plan.groups.resize(static_cast<std::size_t>(count));
}

Result<Fd> open_input(ChildSpec const& spec) {
    if (spec.input.empty()) {
        if (!spec.in_null) return Fd();
        return Fd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    }
    if (spec.input.size() > 60 * 1024) return fail(Code::invalid, "more than 60 KiB for a child's stdin");
    KEEL_TRY(auto ends, make_pipe());  // a pipe holds 64 KiB, so this never blocks
    if (::write(ends.write.get(), spec.input.data(), spec.input.size()) != static_cast<ssize_t>(spec.input.size())) {
        return fail(system_error(errno, "write to a child's stdin"));
    }
    return std::move(ends.read);
}

// The child's end; ours goes into `ours` when it is a pipe.
Result<Fd> open_output(Stream const& stream, Fd& ours) {
    switch (stream.kind) {
        case Stream::Kind::inherit:
            return Fd();
        case Stream::Kind::null:
            return Fd(::open("/dev/null", O_WRONLY | O_CLOEXEC));
        case Stream::Kind::file: {
            Fd file(::open(stream.path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
            if (file.get() < 0) return fail(system_error(errno, stream.path));
            return file;
        }
        case Stream::Kind::lines:
            break;
    }
    KEEL_TRY(auto ends, make_pipe());
    ours = std::move(ends.read);
    return std::move(ends.write);
}

[[noreturn]] void give_up(Plan const& plan, int step) {
    Failure const failure{step, errno};
    [[maybe_unused]] auto const written = ::write(plan.report, &failure, sizeof failure);
    ::_exit(127);
}

// In the child, between fork and exec.
[[noreturn]] void become(Plan const& plan, ChildSpec const& spec) {
    for (int number = 1; number < NSIG; ++number) ::signal(number, SIG_DFL);
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    if (spec.new_session) ::setsid();
    for (int number = 0; number < 3; ++number) {
        if (plan.streams[number] >= 0 && ::dup2(plan.streams[number], number) < 0) give_up(plan, 0);
    }
    if (spec.user) {
        if (::setgroups(plan.groups.size(), plan.groups.data()) != 0 && errno != EPERM) give_up(plan, 2);
        if (spec.group && ::setresgid(*spec.group, *spec.group, *spec.group) != 0) give_up(plan, 2);
        if (::setresuid(*spec.user, *spec.user, *spec.user) != 0) give_up(plan, 2);
    }
    if (!spec.directory.empty() && ::chdir(spec.directory.c_str()) != 0) give_up(plan, 1);
    if (spec.signal_at_parent_death != 0) {  // after setuid, which clears it
        ::prctl(PR_SET_PDEATHSIG, spec.signal_at_parent_death);
        if (::getppid() != plan.parent) ::_exit(127);
    }
    ::syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC);
    ::execve(plan.program.c_str(), plan.argv.data(), plan.environment.data());
    give_up(plan, 3);
}

Result<Plan> make_plan(ChildSpec const& spec) {
    Plan plan;
    if (spec.argv.empty()) return fail(Code::internal, "a child without a program");
    KEEL_TRY(plan.program, find_program(spec.argv[0]));
    for (auto const& argument : spec.argv) plan.argv.push_back(const_cast<char*>(argument.c_str()));
    plan.argv.push_back(nullptr);
    plan_environment(spec, plan);
    plan_groups(spec, plan);
    plan.parent = ::getpid();
    return plan;
}

}  // namespace

Result<Started> start_child(ChildSpec const& spec) {
    KEEL_TRY(auto plan, make_plan(spec));
    Fd our_out, our_err;
    KEEL_TRY(auto const in, open_input(spec));
    KEEL_TRY(auto const out, open_output(spec.out, our_out));
    KEEL_TRY(auto const err, open_output(spec.err, our_err));
    KEEL_TRY(auto report, make_pipe());
    plan.streams[0] = in.get();
    plan.streams[1] = out.get();
    plan.streams[2] = err.get();
    plan.report = report.write.get();

    sigset_t all, before;  // no handler of ours may run in the child
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t const pid = ::fork();
    if (pid == 0) become(plan, spec);
    int const fork_error = errno;
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    if (pid < 0) return fail(system_error(fork_error, "fork for " + plan.program));

    report.write = Fd();
    Failure failure;
    ssize_t got = 0;
    while ((got = ::read(report.read.get(), &failure, sizeof failure)) < 0 && errno == EINTR) continue;
    if (got == sizeof failure) {
        ::waitpid(pid, nullptr, 0);
        return fail(
            system_error(failure.error_number, "program " + plan.program + " could not " + kSteps[failure.step]));
    }
    int const pid_fd = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
    if (pid_fd < 0) {
        int const error_number = errno;
        ::kill(pid, SIGKILL);
        ::waitpid(pid, nullptr, 0);
        return fail(system_error(error_number, "pidfd_open for " + plan.program));
    }
    return Started{pid, pid_fd, our_out.release(), our_err.release()};
}

}  // namespace keel::runtime
