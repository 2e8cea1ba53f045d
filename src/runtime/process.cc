#include "runtime/process.h"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <mutex>
#include <set>

#include "runtime/child.h"
#include "runtime/files.h"

namespace keel::runtime {

namespace {

struct Owned {
    std::mutex mutex;
    std::set<pid_t> pids;
};
// Children are a property of the process, and so is this list.
Owned& owned() {
    static auto* const one = new Owned;
    return *one;
}

bool has_ended(int pid_fd) {
    pollfd query{pid_fd, POLLIN, 0};
    return ::poll(&query, 1, 0) == 1;
}

// Fields of proc(5) stat after the command's closing bracket: [0] is the state.
Result<std::vector<std::string>> stat_fields(pid_t pid) {
    KEEL_TRY(auto const text, read_file("/proc/" + std::to_string(pid) + "/stat", 4096));
    auto const bracket = text.rfind(") ");
    if (bracket == text.npos) return fail(Code::corrupt, "/proc/" + std::to_string(pid) + "/stat: no command");
    std::vector<std::string> fields(1);
    for (char const byte : text.substr(bracket + 2)) {
        if (byte == ' ')
            fields.emplace_back();
        else
            fields.back() += byte;
    }
    return fields;
}

}  // namespace

Status signal_pid_fd(int descriptor, int number) {
    if (::syscall(SYS_pidfd_send_signal, descriptor, number, nullptr, 0) == 0) return {};
    return fail(system_error(errno, "signal " + std::to_string(number)));
}

void remember_child(pid_t pid) {
    std::lock_guard const lock(owned().mutex);
    owned().pids.insert(pid);
}

void forget_child(pid_t pid) {
    std::lock_guard const lock(owned().mutex);
    owned().pids.erase(pid);
}

struct PidFd::State {
    State(Io& io, pid_t pid_, int descriptor) : pid(pid_), pid_fd(io, descriptor) {}
    pid_t pid;
    asio::posix::stream_descriptor pid_fd;
};

Result<PidFd> PidFd::open(Io& io, pid_t pid) {
    int const descriptor = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
    if (descriptor < 0) return fail(system_error(errno, "process " + std::to_string(pid)));
    PidFd process(std::make_shared<State>(io, pid, descriptor));
    if (!process.alive()) return fail(Code::not_found, "process " + std::to_string(pid) + " has ended");
    return process;
}

PidFd::PidFd(std::shared_ptr<State> state) : state_(std::move(state)) {}
PidFd::PidFd(PidFd&&) noexcept = default;
PidFd& PidFd::operator=(PidFd&&) noexcept = default;
PidFd::~PidFd() = default;

pid_t PidFd::pid() const { return state_->pid; }
bool PidFd::alive() const { return !has_ended(state_->pid_fd.native_handle()); }
Status PidFd::signal(int number) { return signal_pid_fd(state_->pid_fd.native_handle(), number); }

Task<void> PidFd::dead() {
    auto const state = state_;
    while (!has_ended(state->pid_fd.native_handle())) {
        co_await state->pid_fd.async_wait(asio::posix::descriptor_base::wait_read, asio::use_awaitable);
    }
}

Result<std::uint64_t> process_start_ticks(pid_t pid) {
    KEEL_TRY(auto const fields, stat_fields(pid));
    constexpr std::size_t kStartTime = 22 - 3;  // proc(5) counts from 1; the state is number 3
    std::uint64_t ticks = 0;
    if (fields.size() > kStartTime) {
        auto const& text = fields[kStartTime];
        if (std::from_chars(text.data(), text.data() + text.size(), ticks).ec == std::errc()) return ticks;
    }
    return fail(Code::corrupt, "/proc/" + std::to_string(pid) + "/stat: no start time");
}

std::string process_command(pid_t pid) {
    auto text = read_file("/proc/" + std::to_string(pid) + "/cmdline", 64 * 1024).value_or("");
    while (!text.empty() && text.back() == '\0') text.pop_back();
    for (char& byte : text) {
        if (byte == '\0') byte = ' ';
    }
    return text;
}

std::vector<pid_t> children_of(pid_t pid) {
    std::vector<pid_t> found;
    std::error_code failed;
    auto const tasks = "/proc/" + std::to_string(pid) + "/task";
    for (auto const& task : std::filesystem::directory_iterator(tasks, failed)) {
        auto const text = read_file(task.path().string() + "/children", 1024 * 1024).value_or("");
        char const* at = text.data();
        char const* const end = at + text.size();
        while (at < end) {
            pid_t child = 0;
            auto const [next, problem] = std::from_chars(at, end, child);
            if (problem == std::errc()) found.push_back(child);
            at = next + 1;
        }
    }
    return found;
}

Status become_subreaper() {
    if (::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0) return {};
    return fail(system_error(errno, "prctl(PR_SET_CHILD_SUBREAPER)"));
}

int reap_orphans() {
    int reaped = 0;
    for (pid_t const child : children_of(::getpid())) {
        std::lock_guard const lock(owned().mutex);
        if (!owned().pids.contains(child) && ::waitpid(child, nullptr, WNOHANG) == child) ++reaped;
    }
    return reaped;
}

}  // namespace keel::runtime
