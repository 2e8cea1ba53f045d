#include "postgres/job.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <memory>

#include "runtime/files.h"
#include "runtime/process.h"

namespace keel::postgres {

namespace {

constexpr std::size_t kOutputMax = 64U << 10U;

struct Descriptor {
    int number = -1;
    explicit Descriptor(int n = -1) : number(n) {}
    Descriptor(Descriptor const&) = delete;
    Descriptor& operator=(Descriptor const&) = delete;
    ~Descriptor() { reset(); }
    void reset(int n = -1) {
        if (number >= 0) ::close(number);
        number = n;
    }
};

// Between fork and exec only async-signal-safe calls are allowed: everything is prepared before.
struct Prepared {
    std::vector<char*> argv;
    std::array<char*, 4> environment{};
    std::string path;
    int in = -1;
    int out = -1;
};

[[noreturn]] void become(Prepared const& prepared) {
    ::setsid();
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    for (int number : {SIGPIPE, SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGCHLD, SIGUSR1, SIGUSR2}) ::signal(number, SIG_DFL);
    ::dup2(prepared.in, 0);
    ::dup2(prepared.out, 1);
    ::dup2(prepared.out, 2);
    ::close_range(3, ~0U, 0);
    ::umask(077);
    ::execve(prepared.argv[0], prepared.argv.data(), prepared.environment.data());
    constexpr std::string_view kText = "cannot execute the program\n";
    [[maybe_unused]] auto const ignored = ::write(2, kText.data(), kText.size());
    ::_exit(127);
}

Result<pid_t> start(std::vector<std::string> const& argv, int in, int out) {
    if (::access(argv[0].c_str(), X_OK) != 0) {
        return fail(Code::not_found, argv[0] + ": " + std::strerror(errno),
                    "install PostgreSQL or correct its binaries' directory");
    }
    static std::string locale = "LC_ALL=C";
    static std::string path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    std::vector<std::string> copy = argv;
    Prepared prepared;
    for (auto& argument : copy) prepared.argv.push_back(argument.data());
    prepared.argv.push_back(nullptr);
    prepared.environment = {locale.data(), path.data(), nullptr, nullptr};
    prepared.in = in;
    prepared.out = out;
    pid_t const pid = ::fork();
    if (pid == 0) become(prepared);
    if (pid < 0) return fail(runtime::system_error(errno, "cannot start " + argv[0]));
    return pid;
}

// Lines end with \n or, in progress reports, \r.
struct Lines {
    std::function<void(std::string_view)> const& on_line;
    std::string output;
    std::string partial;
    void add(std::string_view bytes) {
        output.append(bytes);
        if (output.size() > kOutputMax) output.erase(0, output.size() - kOutputMax);
        for (char const c : bytes) {
            if (c != '\n' && c != '\r') {
                if (partial.size() < 4096) partial += c;
            } else if (!partial.empty()) {
                if (on_line) on_line(partial);
                partial.clear();
            }
        }
    }
};

std::string last_lines(std::string const& output) {
    std::size_t from = output.size();
    for (int lines = 0; from > 0 && lines < 4; ++lines) {
        auto const newline = output.rfind('\n', from == output.size() && output.ends_with('\n') ? from - 2 : from - 1);
        from = newline == std::string::npos ? 0 : newline;
    }
    std::string text = output.substr(from);
    while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
    while (!text.empty() && text.front() == '\n') text.erase(0, 1);
    return text;
}

// The whole session: pg_basebackup has a second process that receives WAL, pg_rewind may have started a server.
void end_now(pid_t pid) {
    ::kill(-pid, SIGTERM);
    bool reaped = false;
    for (int i = 0; i < 500 && !(reaped && ::kill(-pid, 0) != 0); ++i) {
        reaped = reaped || ::waitpid(pid, nullptr, WNOHANG) != 0;
        if (i == 100) ::kill(-pid, SIGKILL);
        ::usleep(5000);
    }
}

}  // namespace

Result<std::string> run_job(Job const& job, Bound const& bound) {
    std::array<int, 2> out{};
    std::array<int, 2> in{-1, -1};
    if (::pipe2(out.data(), O_CLOEXEC) != 0) return fail(runtime::system_error(errno, "pipe"));
    Descriptor const read_end(out[0]);
    Descriptor write_end(out[1]);
    Descriptor input;
    if (job.input.empty()) {
        input.reset(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    } else {
        if (::pipe2(in.data(), O_CLOEXEC) != 0) return fail(runtime::system_error(errno, "pipe"));
        input.reset(in[0]);
        Descriptor const feed(in[1]);
        // At most 60 KiB: fits into the pipe's buffer.
        if (::write(feed.number, job.input.data(), job.input.size()) != static_cast<ssize_t>(job.input.size())) {
            return fail(runtime::system_error(errno, "writing the input of " + job.argv[0]));
        }
    }
    KEEL_TRY(pid_t const pid, start(job.argv, input.number, write_end.number));
    runtime::remember_child(pid);  // its end is ours to collect
    std::unique_ptr<pid_t const, decltype([](pid_t const* one) { runtime::forget_child(*one); })> const ours(&pid);
    write_end.reset();
    Lines lines{job.on_line, {}, {}};
    std::array<char, 8192> buffer{};
    for (;;) {
        if (bound.over()) {
            end_now(pid);
            return fail(bound.why(job.argv[0]));
        }
        pollfd one{read_end.number, POLLIN, 0};
        if (::poll(&one, 1, bound.poll_ms()) <= 0) continue;
        auto const got = ::read(read_end.number, buffer.data(), buffer.size());
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) break;
        lines.add({buffer.data(), static_cast<std::size_t>(got)});
    }
    int status = 0;
    while (::waitpid(pid, &status, WNOHANG) == 0) {
        if (!bound.pause(2ms)) {
            end_now(pid);
            return fail(bound.why(job.argv[0]));
        }
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return lines.output;
    return fail(Code::unavailable, job.argv[0] + " failed: " + last_lines(lines.output));
}

Result<pid_t> launch(std::vector<std::string> const& argv, std::string const& log) {
    Descriptor const out(::open(log.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600));
    if (out.number < 0) return fail(runtime::system_error(errno, log));
    Descriptor const in(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    return start(argv, in.number, out.number);
}

}  // namespace keel::postgres
