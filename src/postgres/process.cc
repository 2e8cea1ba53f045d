#include "postgres/process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstring>
#include <string_view>

#include "runtime/clock.h"

namespace keel::postgres {

namespace {

// Names below /proc, without the heap.
class ProcPath {
  public:
    ProcPath(pid_t pid, char const* file) { ::stpcpy(::stpcpy(number(pid), "/"), file); }
    char const* text() const { return text_.data(); }

  private:
    char* number(pid_t pid) {
        char* const at = ::stpcpy(text_.data(), "/proc/");
        auto const end = std::to_chars(at, text_.data() + text_.size() - 16, pid).ptr;
        *end = 0;
        return end;
    }
    std::array<char, 64> text_{};
};

using Page = std::array<char, 4096>;

// The beginning of a small file; empty when it cannot be read.
std::string_view read_start(char const* path, Page& page) {
    // Reading must not write: an access time waits for the journal of a stalled disk. For our own files only.
    int descriptor = ::open(path, O_RDONLY | O_CLOEXEC | O_NOATIME);
    if (descriptor < 0) descriptor = ::open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) return {};
    auto const got = ::read(descriptor, page.data(), page.size());
    ::close(descriptor);
    return got > 0 ? std::string_view(page.data(), static_cast<std::size_t>(got)) : std::string_view{};
}

// File name of the program that a process runs; empty when that may not be known.
std::string_view program_of(pid_t pid, Page& page) {
    auto const size = ::readlink(ProcPath(pid, "exe").text(), page.data(), page.size());
    if (size <= 0) return {};
    std::string_view path(page.data(), static_cast<std::size_t>(size));
    if (path.ends_with(" (deleted)")) path.remove_suffix(10);  // the package was upgraded under it
    return path.substr(path.rfind('/') + 1);
}

constexpr unsigned kExiting = 4;  // PF_EXITING, include/linux/sched.h

// Fields 3, 4, 9 and 22 of stat; the name in field 2 may hold spaces and brackets. A process that is on its way out
// runs none of its own code any more: it counts as dead, as it does for /proc, which has no program of it from then on.
bool read_stat(pid_t pid, ServerProcess& out) {
    Page page;
    auto const text = read_start(ProcPath(pid, "stat").text(), page);
    auto const close = text.rfind(')');
    if (close == text.npos) return false;
    int field = 2;
    std::size_t at = close + 1;
    while (at < text.size()) {
        at = text.find_first_not_of(' ', at);
        if (at == text.npos) break;
        auto const end = std::min(text.find(' ', at), text.size());
        ++field;
        if (field == 3) out.state = text[at];
        if (field == 4) std::from_chars(&text[at], text.data() + end, out.parent);
        if (field == 9) {
            unsigned flags = 0;
            std::from_chars(&text[at], text.data() + end, flags);
            if ((flags & kExiting) != 0) out.state = 'X';
        }
        if (field == 22) {
            std::from_chars(&text[at], text.data() + end, out.start_ticks);
            return true;
        }
        at = end;
    }
    return false;
}

bool inspect(pid_t pid, struct stat const& directory, ServerProcess& out) {
    struct stat cwd{};
    if (::stat(ProcPath(pid, "cwd").text(), &cwd) != 0) return false;
    Page page;
    if (cwd.st_dev != directory.st_dev || cwd.st_ino != directory.st_ino || program_of(pid, page) != "postgres")
        return false;
    out = {};
    out.pid = pid;
    return read_stat(pid, out) && out.state != 'Z' && out.state != 'X';
}

// Of postmaster.pid; negative: a single-user server, 0: none.
pid_t named_pid(std::string const& data) {
    Page page;
    auto const text = read_start((data + "/postmaster.pid").c_str(), page);
    pid_t pid = 0;
    std::from_chars(text.data(), text.data() + text.size(), pid);
    return pid;
}

// getdents64(2) with a buffer of our own: opendir(3) takes one from the heap.
template <class Use>
void each_process(Use use) {
    struct Entry {
        std::uint64_t inode;
        std::int64_t next;
        std::uint16_t size;
        std::uint8_t type;
        char name[];  // NOLINT(modernize-avoid-c-arrays): the kernel's layout
    };
    int const proc = ::open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (proc < 0) return;
    alignas(Entry) Page page;
    for (;;) {
        auto const got = ::syscall(SYS_getdents64, proc, page.data(), page.size());
        if (got <= 0) break;
        for (long at = 0; at < got;) {
            auto const* entry = reinterpret_cast<Entry const*>(page.data() + at);
            char const* const name = page.data() + at + offsetof(Entry, name);
            pid_t pid = 0;
            auto const [stop, error] = std::from_chars(name, name + std::strlen(name), pid);
            if (error == std::errc{} && *stop == 0) use(pid);
            at += entry->size;
        }
    }
    ::close(proc);
}

}  // namespace

bool is_child(ServerProcess const& process) {
    Page page;
    return read_start(ProcPath(process.pid, "cmdline").text(), page).starts_with("postgres: ");
}

void each_server_process(std::string const& data, Visit visit, void* context) {
    struct stat directory{};
    if (::stat(data.c_str(), &directory) != 0) return;
    each_process([&](pid_t pid) {
        ServerProcess one;
        if (inspect(pid, directory, one)) visit(context, one);
    });
}

std::vector<ServerProcess> server_processes(std::string const& data) {
    std::vector<ServerProcess> out;
    auto const add = [](void* context, ServerProcess const& one) {
        static_cast<std::vector<ServerProcess>*>(context)->push_back(one);
    };
    each_server_process(data, add, &out);
    return out;
}

namespace {

struct Round {
    std::string const& data;
    int signal = 0;  // 0: only count
    std::size_t left = 0;
};

void end_one(void* context, ServerProcess const& one) {
    auto& round = *static_cast<Round*>(context);
    ++round.left;
    if (round.signal == 0) return;
    send_signal(one, round.data, round.signal);
    ::waitpid(one.pid, nullptr, WNOHANG);  // orphans are ours when we are the subreaper
}

bool ask_to_end(ServerProcess const& postmaster, std::string const& data) {
    struct stat directory{};
    ServerProcess now;
    return postmaster.pid != 0 && ::stat(data.c_str(), &directory) == 0 && inspect(postmaster.pid, directory, now) &&
           now.state != 'T' && send_signal(postmaster, data, SIGQUIT);
}

}  // namespace

std::size_t end_server(std::string const& data, EndServer const& how) {
    auto const begun = runtime::boot_now();
    auto const force_at = ask_to_end(how.postmaster, data) ? begun + kGentle : begun;
    for (;;) {
        auto const now = runtime::boot_now();
        // The postmaster among them is killed in this round, so none that it still starts outlives the next one.
        Round round{data, now >= force_at ? SIGKILL : 0, 0};
        each_server_process(data, end_one, &round);
        if (how.each_round != nullptr) how.each_round(how.context);
        if (round.left == 0 || now - begun >= how.limit) return round.left;
        ::usleep(1000);
    }
}

void rehearse_end(std::string const& data) {
    Round round{data, 0, 0};
    each_server_process(data, end_one, &round);
    // Ourselves are no server: inspected, and not signalled.
    (void)send_signal({.pid = ::getpid(), .start_ticks = 0}, data, 0);
}

std::optional<ServerProcess> find_postmaster(std::string const& data) {
    struct stat directory{};
    if (::stat(data.c_str(), &directory) != 0) return std::nullopt;
    pid_t const pid = named_pid(data);
    if (pid <= 0) return std::nullopt;
    ServerProcess found;
    // A recycled pid that is now a child of another postmaster of the same directory cannot be excluded otherwise.
    if (!inspect(pid, directory, found) || is_child(found)) return std::nullopt;
    return found;
}

std::optional<ServerProcess> find_postmaster(std::string const& data, std::optional<ServerProcess> const& known) {
    if (!known || named_pid(data) != known->pid) return find_postmaster(data);
    ServerProcess now = *known;
    if (!read_stat(known->pid, now) || now.start_ticks != known->start_ticks || now.state == 'Z' || now.state == 'X')
        return find_postmaster(data);
    return now;
}

bool alive(ServerProcess const& process, std::string const& data) {
    struct stat directory{};
    ServerProcess now;
    return ::stat(data.c_str(), &directory) == 0 && inspect(process.pid, directory, now) &&
           now.start_ticks == process.start_ticks;
}

std::vector<ServerProcess> orphans(std::vector<ServerProcess> const& all) {
    std::vector<ServerProcess> out;
    for (auto const& one : all) {
        bool const has_parent = std::ranges::any_of(all, [&](auto const& other) { return other.pid == one.parent; });
        if (!has_parent && is_child(one)) out.push_back(one);
    }
    return out;
}

int open_pidfd(ServerProcess const& process, std::string const& data) {
    int const descriptor = static_cast<int>(::syscall(SYS_pidfd_open, process.pid, 0U));
    if (descriptor >= 0 && !alive(process, data)) {
        ::close(descriptor);
        return -1;
    }
    return descriptor;
}

void end_leftovers(std::string const& path) {
    for (int round = 0; round < 500; ++round) {
        bool any = false;
        each_process([&](pid_t pid) {
            Page page;
            auto const program = program_of(pid, page);
            if (program != "pg_basebackup" && program != "pg_rewind" && program != "initdb") return;
            auto const arguments = read_start(ProcPath(pid, "cmdline").text(), page);
            if (arguments.find('\0' + path + '\0') == std::string::npos) return;
            any = true;
            ::kill(pid, SIGKILL);
        });
        if (!any) return;
        ::usleep(5000);
    }
}

bool send_signal(ServerProcess const& process, std::string const& data, int number) {
    int const descriptor = open_pidfd(process, data);
    if (descriptor < 0) return false;
    bool const sent = ::syscall(SYS_pidfd_send_signal, descriptor, number, nullptr, 0U) == 0;
    ::close(descriptor);
    return sent;
}

}  // namespace keel::postgres
