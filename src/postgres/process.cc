#include "postgres/process.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <memory>

namespace keel::postgres {

namespace {

// The beginning of a small file of /proc; empty when it cannot be read.
std::string read_start(std::string const& path) {
    int const descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) return {};
    std::array<char, 1024> buffer{};
    auto const got = ::read(descriptor, buffer.data(), buffer.size());
    ::close(descriptor);
    return got > 0 ? std::string(buffer.data(), static_cast<std::size_t>(got)) : std::string{};
}

// File name of the program that a process runs; empty when that may not be known.
std::string program_of(std::string const& proc) {
    std::array<char, 4096> target{};
    auto const size = ::readlink((proc + "/exe").c_str(), target.data(), target.size());
    if (size <= 0) return {};
    std::string_view path(target.data(), static_cast<std::size_t>(size));
    if (path.ends_with(" (deleted)")) path.remove_suffix(10);  // the package was upgraded under it
    return std::string(path.substr(path.rfind('/') + 1));
}

// Fields 3, 4 and 22 of stat; the name in field 2 may hold spaces and brackets.
bool read_stat(std::string const& proc, ServerProcess& out) {
    std::string const text = read_start(proc + "/stat");
    auto const close = text.rfind(')');
    if (close == std::string::npos) return false;
    int field = 2;
    std::size_t at = close + 1;
    while (at < text.size()) {
        at = text.find_first_not_of(' ', at);
        if (at == std::string::npos) break;
        auto const end = std::min(text.find(' ', at), text.size());
        ++field;
        if (field == 3) out.state = text[at];
        if (field == 4) std::from_chars(&text[at], text.data() + end, out.parent);
        if (field == 22) {
            std::from_chars(&text[at], text.data() + end, out.start_ticks);
            return true;
        }
        at = end;
    }
    return false;
}

std::optional<ServerProcess> inspect(pid_t pid, struct stat const& directory) {
    std::string const proc = "/proc/" + std::to_string(pid);
    struct stat cwd{};
    if (::stat((proc + "/cwd").c_str(), &cwd) != 0) return std::nullopt;
    if (cwd.st_dev != directory.st_dev || cwd.st_ino != directory.st_ino || program_of(proc) != "postgres")
        return std::nullopt;
    ServerProcess out;
    out.pid = pid;
    if (!read_stat(proc, out) || out.state == 'Z' || out.state == 'X') return std::nullopt;
    out.titled = read_start(proc + "/cmdline").starts_with("postgres: ");
    return out;
}

// Of postmaster.pid; negative: a single-user server, 0: none.
pid_t named_pid(std::string const& data) {
    return static_cast<pid_t>(std::strtol(read_start(data + "/postmaster.pid").c_str(), nullptr, 10));
}

template <class Use>
void each_process(Use use) {
    std::unique_ptr<DIR, decltype([](DIR* d) { ::closedir(d); })> const list(::opendir("/proc"));
    if (!list) return;
    while (auto const* entry = ::readdir(list.get())) {
        pid_t pid = 0;
        char const* end = entry->d_name + std::strlen(entry->d_name);
        auto const [stop, error] = std::from_chars(entry->d_name, end, pid);
        if (error == std::errc{} && stop == end) use(pid);
    }
}

}  // namespace

std::vector<ServerProcess> server_processes(std::string const& data) {
    std::vector<ServerProcess> out;
    struct stat directory{};
    if (::stat(data.c_str(), &directory) != 0) return out;
    each_process([&](pid_t pid) {
        if (auto one = inspect(pid, directory)) out.push_back(*one);
    });
    return out;
}

std::optional<ServerProcess> find_postmaster(std::string const& data) {
    struct stat directory{};
    if (::stat(data.c_str(), &directory) != 0) return std::nullopt;
    pid_t const pid = named_pid(data);
    if (pid <= 0) return std::nullopt;
    auto found = inspect(pid, directory);
    // A recycled pid that is now a child of another postmaster of the same directory cannot be excluded otherwise.
    if (found && found->titled) return std::nullopt;
    return found;
}

std::optional<ServerProcess> find_postmaster(std::string const& data, std::optional<ServerProcess> const& known) {
    if (!known || named_pid(data) != known->pid) return find_postmaster(data);
    ServerProcess now = *known;
    if (!read_stat("/proc/" + std::to_string(known->pid), now) || now.start_ticks != known->start_ticks ||
        now.state == 'Z' || now.state == 'X')
        return find_postmaster(data);
    return now;
}

bool alive(ServerProcess const& process, std::string const& data) {
    struct stat directory{};
    if (::stat(data.c_str(), &directory) != 0) return false;
    auto const now = inspect(process.pid, directory);
    return now && now->start_ticks == process.start_ticks;
}

std::vector<ServerProcess> orphans(std::vector<ServerProcess> const& all) {
    std::vector<ServerProcess> out;
    for (auto const& one : all) {
        bool has_parent = false;
        for (auto const& other : all) has_parent = has_parent || (other.pid == one.parent && !other.titled);
        if (one.titled && !has_parent) out.push_back(one);
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
            std::string const proc = "/proc/" + std::to_string(pid);
            auto const program = program_of(proc);
            if (program != "pg_basebackup" && program != "pg_rewind" && program != "initdb") return;
            std::string const arguments = read_start(proc + "/cmdline");
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
