// Child processes and processes that are not our children, held by pidfd: no signal ever hits a recycled pid.
#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/asio.h"

namespace keel::runtime {

// Where a stream of the child goes.
struct Stream {
    enum class Kind { inherit, null, file, lines };
    Kind kind = Kind::inherit;
    std::string path = {};                               // file: appended to, created 0600
    std::function<void(std::string_view)> on_line = {};  // lines: each without its newline, cut at 16 KiB

    static Stream inherit() { return {}; }
    static Stream null() { return {Kind::null, {}, {}}; }
    static Stream file(std::string path) { return {Kind::file, std::move(path), {}}; }
    static Stream lines(std::function<void(std::string_view)> on_line) { return {Kind::lines, {}, std::move(on_line)}; }
};

struct ChildSpec {
    std::vector<std::string> argv;              // argv[0]: the program's path, or a name looked up in PATH
    std::vector<std::string> environment = {};  // "NAME=value", added to ours (overriding) unless bare_environment
    bool bare_environment = false;
    std::string directory = {};      // empty: ours
    std::optional<uid_t> user = {};  // dropped to, with `group` and that user's supplementary groups
    std::optional<gid_t> group = {};
    bool new_session = false;        // setsid: a terminal's Ctrl-C does not reach it
    int signal_at_parent_death = 0;  // PR_SET_PDEATHSIG; 0: it outlives us
    bool in_null = true;             // stdin: /dev/null, or ours
    std::string input = {};          // non-empty: what stdin gives (at most 60 KiB), then its end
    Stream out = {};
    Stream err = {};
};

struct Exit {
    int code = 0;    // exit code, when it ended by itself
    int signal = 0;  // the signal that killed it, else 0
    bool ok() const { return code == 0 && signal == 0; }
};
// "exit code 1", "killed by SIGKILL".
std::string to_string(Exit const& exit);

class Child {
  public:
    // Errors name the program: not_found, denied, exhausted.
    static Result<Child> spawn(Io& io, ChildSpec spec);
    Child(Child&&) noexcept;
    Child& operator=(Child&&) noexcept;
    // Does not kill it. It is reaped by reap_orphans() later.
    ~Child();

    pid_t pid() const;
    // Ends when the child has ended, has been reaped, and its last lines were delivered (for lines held open by a
    // grandchild: 1 s at most). May be called again: the same answer.
    Task<Exit> wait();
    // not_found when it is gone.
    Status signal(int number);
    bool running() const;

    struct State;

  private:
    explicit Child(std::shared_ptr<State> state);
    std::shared_ptr<State> state_;
};

// Runs to the end; output and error lines kept together, the last 64 KiB of them.
struct Finished {
    Exit exit;
    std::string output;
};
Task<Result<Finished>> run_child(Io& io, ChildSpec spec, Duration limit);

// A process that may not be our child.
class PidFd {
  public:
    // not_found when there is no such process (a zombie counts as none).
    static Result<PidFd> open(Io& io, pid_t pid);
    PidFd(PidFd&&) noexcept;
    PidFd& operator=(PidFd&&) noexcept;
    ~PidFd();

    pid_t pid() const;
    // Ends when the process has ended. Throws when cancelled.
    Task<void> dead();
    bool alive() const;
    Status signal(int number);

    struct State;

  private:
    explicit PidFd(std::shared_ptr<State> state);
    std::shared_ptr<State> state_;
};

// proc(5) stat field 22, in clock ticks since boot: with the pid it names a process for ever.
Result<std::uint64_t> process_start_ticks(pid_t pid);
// Its arguments, joined by spaces.
std::string process_command(pid_t pid);
std::vector<pid_t> children_of(pid_t pid);

// PR_SET_CHILD_SUBREAPER: orphaned descendants become our children.
Status become_subreaper();
// Reaps dead children that no living Child object stands for; returns how many.
int reap_orphans();
// Does so for ever: the children of a killed process become ours, and their zombies are nobody else's business.
Task<void> collect_orphans();

}  // namespace keel::runtime
