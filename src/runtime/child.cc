#include "runtime/child.h"

#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/redirect_error.hpp>
#include <cerrno>
#include <cstring>
#include <list>
#include <mutex>
#include <set>

#include "runtime/child_exec.h"
#include "runtime/files.h"
#include "runtime/process.h"
#include "runtime/scope.h"

namespace keel::runtime {

namespace {

constexpr std::size_t kLongestLine = 16 * 1024;

// Cuts what comes out of a pipe into lines.
struct LineReader {
    asio::posix::stream_descriptor pipe;
    std::function<void(std::string_view)> on_line;
    std::string rest = {};
    bool ended = false;

    void take(std::string_view bytes) {
        while (!bytes.empty()) {
            auto const newline = bytes.find('\n');
            rest.append(bytes.substr(0, std::min(newline, kLongestLine - rest.size())));
            if (newline == bytes.npos && rest.size() < kLongestLine) return;
            if (newline != bytes.npos) {
                bytes.remove_prefix(newline + 1);
                flush();
            } else {
                return;  // too long: cut, the rest of the line is dropped
            }
        }
    }
    void flush() {
        if (on_line) on_line(rest);
        rest.clear();
    }
};

}  // namespace

struct Child::State {
    State(Io& io_, Started const& started, ChildSpec& spec) : io(io_), pid(started.pid), pid_fd(io_, started.pid_fd) {
        if (started.out >= 0) add_reader(started.out, std::move(spec.out.on_line));
        if (started.err >= 0) add_reader(started.err, std::move(spec.err.on_line));
    }
    void add_reader(int descriptor, std::function<void(std::string_view)> on_line) {
        readers.emplace_back(asio::posix::stream_descriptor(io, descriptor), std::move(on_line));
    }
    bool all_read() const {
        return std::all_of(readers.begin(), readers.end(), [](auto const& reader) { return reader.ended; });
    }
    void wake_all() {
        for (auto const& waiter : waiters) waiter->notify();
        waiters.clear();
    }

    Io& io;
    pid_t pid;
    asio::posix::stream_descriptor pid_fd;
    std::list<LineReader> readers;
    std::shared_ptr<Event> one_read = std::make_shared<Event>(io);
    std::vector<std::shared_ptr<Event>> waiters;
    std::optional<Exit> exit;  // known: reaped
    bool ended = false;        // reaped and the lines delivered
};

namespace {

Task<void> read_lines(std::shared_ptr<Child::State> state, LineReader& reader) {
    std::string chunk(16 * 1024, '\0');
    for (;;) {
        boost::system::error_code ended;
        auto const got =
            co_await reader.pipe.async_read_some(asio::buffer(chunk), asio::redirect_error(asio::use_awaitable, ended));
        reader.take(std::string_view(chunk).substr(0, got));
        if (ended) break;
    }
    if (!reader.rest.empty()) reader.flush();
    reader.ended = true;
    state->one_read->notify();
}

Exit reap(pid_t pid) {
    siginfo_t info{};
    while (::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED) != 0) {
        if (errno != EINTR) return {.code = -1};  // somebody else reaped it
    }
    if (info.si_code == CLD_EXITED) return {.code = info.si_status};
    return {.signal = info.si_status};
}

// Lives as long as the process: holds the state alone, so that the Child may go before.
Task<void> watch(std::shared_ptr<Child::State> state) {
    boost::system::error_code ignored;
    co_await state->pid_fd.async_wait(asio::posix::descriptor_base::wait_read,
                                      asio::redirect_error(asio::use_awaitable, ignored));
    if (!state->pid_fd.is_open()) co_return;  // the Child object is gone
    state->exit = reap(state->pid);
    forget_child(state->pid);
    auto const until = std::chrono::steady_clock::now() + 1s;
    while (!state->all_read()) {
        auto const left = std::chrono::duration_cast<Duration>(until - std::chrono::steady_clock::now());
        if (left <= 0s || !co_await state->one_read->wait_for(left)) break;
    }
    for (auto& reader : state->readers) reader.pipe.close();
    state->ended = true;
    state->wake_all();
}

}  // namespace

std::string to_string(Exit const& exit) {
    if (exit.signal == 0) return "exit code " + std::to_string(exit.code);
    char const* name = ::sigabbrev_np(exit.signal);
    return std::string("killed by ") + (name != nullptr ? "SIG" + std::string(name) : std::to_string(exit.signal));
}

Result<Child> Child::spawn(Io& io, ChildSpec spec) {
    KEEL_TRY(auto const started, start_child(spec));
    remember_child(started.pid);
    auto const state = std::make_shared<State>(io, started, spec);
    for (auto& reader : state->readers) asio::co_spawn(io, read_lines(state, reader), asio::detached);
    asio::co_spawn(io, watch(state), asio::detached);
    return Child(state);
}

Child::Child(std::shared_ptr<State> state) : state_(std::move(state)) {}
Child::Child(Child&&) noexcept = default;

Child& Child::operator=(Child&& other) noexcept {
    std::swap(state_, other.state_);
    return *this;
}

Child::~Child() {
    if (!state_ || state_->ended) return;
    forget_child(state_->pid);
    boost::system::error_code ignored;
    state_->pid_fd.close(ignored);
    for (auto& reader : state_->readers) {
        reader.on_line = nullptr;
        reader.pipe.close(ignored);
    }
}

pid_t Child::pid() const { return state_->pid; }
bool Child::running() const { return !state_->exit; }

Task<Exit> Child::wait() {
    auto const state = state_;
    while (!state->ended) {
        auto const waiter = std::make_shared<Event>(state->io);
        state->waiters.push_back(waiter);
        co_await waiter->wait();
    }
    co_return *state->exit;
}

Status Child::signal(int number) {
    if (state_->exit) return fail(Code::not_found, "process " + std::to_string(state_->pid) + " has ended");
    return signal_pid_fd(state_->pid_fd.native_handle(), number);
}

Task<Result<Finished>> run_child(Io& io, ChildSpec spec, Duration limit) {
    auto const output = std::make_shared<std::string>();
    auto const keep = [output](std::string_view line) {
        constexpr std::size_t kMost = 64 * 1024;
        output->append(line).append("\n");
        if (output->size() > kMost) output->erase(0, output->size() - kMost);
    };
    spec.out = Stream::lines(keep);
    spec.err = Stream::lines(keep);
    auto const name = spec.argv.empty() ? std::string("child") : spec.argv[0];
    auto child = Child::spawn(io, std::move(spec));
    if (!child) co_return fail(std::move(child.error()));
    auto const wait = [](Child& one) -> Task<Result<Exit>> { co_return co_await one.wait(); };
    auto exit = co_await with_timeout(limit, wait(*child));
    if (!exit) {
        (void)child->signal(SIGKILL);
        co_await child->wait();
        co_return fail(Code::timeout,
                       name + " did not end within " + std::to_string(to_ms(limit)) + " ms and was killed: " + *output);
    }
    co_return Finished{*exit, std::move(*output)};
}

Task<void> collect_orphans() {
    for (;;) {
        co_await sleep_for(2s);
        reap_orphans();
    }
}

}  // namespace keel::runtime
