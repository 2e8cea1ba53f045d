#include "agent/tree.h"

#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

#include "agent/deadline_file.h"
#include "agent/guard.h"
#include "agent/privileges.h"
#include "agent/start_up.h"
#include "postgres/gate.h"
#include "runtime/child.h"
#include "runtime/clock.h"
#include "runtime/log.h"
#include "runtime/scope.h"
#include "runtime/signals.h"

namespace keel::agent {

namespace {

namespace log = runtime::log;
using runtime::Task;

constexpr Duration kBackOffFirst = 50ms;
constexpr Duration kBackOffMost = 5s;
constexpr Duration kHealthyAfter = 10s;
// While no guardian is awake the fence has one layer less.
constexpr Duration kGuardianBackOffMost = 500ms;
constexpr Duration kLookEvery = 100ms;
// A start from a cold disk takes its time.
constexpr Duration kGuardianStartsWithin = 15s;
// Well above the longest lease: its server has been killed by then, and nothing is left that it could lead on.
constexpr Duration kAgentSilentMost = 20s;

// sd_notify(3): one datagram to the socket that systemd named.
void notify_systemd(char const* state) {
    char const* path = std::getenv("NOTIFY_SOCKET");
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path == nullptr || std::strlen(path) == 0 || std::strlen(path) >= sizeof address.sun_path) return;
    std::strcpy(address.sun_path, path);
    auto const size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + std::strlen(path));
    if (address.sun_path[0] == '@') address.sun_path[0] = '\0';
    int const descriptor = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0) return;
    (void)::sendto(descriptor, state, std::strlen(state), MSG_NOSIGNAL, reinterpret_cast<sockaddr const*>(&address),
                   size);
    ::close(descriptor);
}

// Shared memory would keep them until the next boot.
void remove_words(std::string const& directory) {
    DeadlineFile::remove(directory);
    postgres::Gate::remove(directory);
}

class Tree {
  public:
    explicit Tree(config::NodeConfig const& config) : config_(config), signals_(io_), scope_(io_) {}

    Result<int> run() {
        if (::geteuid() == 0) {
            KEEL_TRY(account_, find_account(config_.user));
        }
        scope_.supervise("signals", [this] { return heed_signals(); });
        scope_.supervise("pulses", [this] { return feel_pulses(); });
        scope_.spawn("guardian", [this] { return keep_guardian(); });
        scope_.spawn("agent", [this] { return keep_agent(); });
        bool const data = config_.kind == cluster::Kind::data;
        proxy_ended_ = !config_.proxy.enabled || !data;
        if (!proxy_ended_)
            scope_.spawn("proxy", [this] { return keep_servant(kProxyCommand, proxy_, ending_, proxy_ended_); });
        // It ends after the agent, so that the end of an orderly shutdown is archived, too.
        archiver_ended_ = config_.backup.repository.empty() || !data;
        if (!archiver_ended_)
            scope_.spawn("archiver",
                         [this] { return keep_servant(kArchiverCommand, archiver_, agent_ended_, archiver_ended_); });
        notify_systemd("READY=1\n");
        io_.run();
        if (exit_code_ == 0 || exit_code_ == kExitLeft) remove_words(config_.directory);
        return exit_code_;
    }

  private:
    runtime::ChildSpec spec_of(char const* command) const {
        runtime::ChildSpec spec;
        spec.argv = {own_program(), command, "--dir", config_.directory};
        // A terminal's Ctrl-C is for the tree, which ends its children in order.
        spec.new_session = true;
        return spec;
    }

    // One life of a child; how it ended. exhausted and the like when it could not be started.
    Task<Result<runtime::Exit>> live(runtime::ChildSpec spec, std::optional<runtime::Child>& child) {
        auto started = runtime::Child::spawn(io_, std::move(spec));
        if (!started) co_return fail(started.error());
        child.emplace(std::move(*started));
        auto const exit = co_await child->wait();
        child.reset();
        co_return exit;
    }

    Task<void> keep_agent() {
        Duration pause = kBackOffFirst;
        for (;;) {
            auto spec = spec_of(kAgentCommand);
            if (account_) {
                spec.user = account_->user;
                spec.group = account_->group;
            }
            // A tree that was killed leaves no agent behind: the next tree's adopts the server.
            spec.signal_at_parent_death = SIGKILL;
            auto const begun = runtime::boot_now();
            agent_pulse_ = {};
            agent_begun_ = begun;
            auto const exit = co_await live(std::move(spec), agent_);
            if (ended_for_good(exit)) break;
            pause = runtime::boot_now() - begun > kHealthyAfter ? kBackOffFirst : pause;
            log::warning("tree", "the agent has ended ({}); again in {} ms; PostgreSQL stays as it is",
                         exit ? runtime::to_string(*exit) : to_string(exit.error()), to_ms(pause));
            co_await runtime::sleep_for(pause);
            pause = std::min(pause * 2, kBackOffMost);
        }
        ending_ = true;
        if (guardian_) (void)guardian_->signal(SIGTERM);
        if (proxy_) (void)proxy_->signal(SIGTERM);
        if (archiver_) (void)archiver_->signal(SIGTERM);
        agent_ended_ = true;
        end_if_alone();
    }

    bool ended_for_good(Result<runtime::Exit> const& exit) {
        if (!exit) return ending_;
        bool const lasting = exit->signal == 0 &&
                             (exit->code == kExitDuplicate || exit->code == kExitLeft || exit->code == kExitRefused);
        if (lasting) exit_code_ = exit->code;
        // One that dies while it stops the server has not done so: the next one does.
        return lasting || (ending_ && exit->signal == 0);
    }

    // Until the agent has ended, and then on while the server may be a primary.
    Task<void> keep_guardian() {
        Duration pause = kBackOffFirst;
        for (;;) {
            auto const begun = runtime::boot_now();
            guardian_pulse_ = {};
            guardian_begun_ = begun;
            guardian_killed_ = false;
            // As root: it needs a real-time priority first, and drops to the user by itself.
            auto const exit = co_await live(spec_of(kGuardianCommand), guardian_);
            if (agent_ended_ && (!exit || exit->ok() || !armed())) break;
            pause = runtime::boot_now() - begun > kHealthyAfter ? kBackOffFirst : pause;
            log::warning("tree", "the guardian has ended ({}); again in {} ms",
                         exit ? runtime::to_string(*exit) : to_string(exit.error()), to_ms(pause));
            co_await runtime::sleep_for(pause);
            pause = std::min(pause * 2, kGuardianBackOffMost);
        }
        guardian_ended_ = true;
        end_if_alone();
    }

    // The proxy and the archiver: their load or their end does not touch the lease. Either may be killed at any moment.
    Task<void> keep_servant(char const* command, std::optional<runtime::Child>& child, bool const& over, bool& ended) {
        Duration pause = kBackOffFirst;
        while (!over) {
            auto spec = spec_of(command);
            if (account_) {
                spec.user = account_->user;
                spec.group = account_->group;
            }
            spec.signal_at_parent_death = SIGKILL;
            auto const begun = runtime::boot_now();
            auto const exit = co_await live(std::move(spec), child);
            if (over) break;
            pause = runtime::boot_now() - begun > kHealthyAfter ? kBackOffFirst : pause;
            log::warning("tree", "the {} has ended ({}); again in {} ms", command,
                         exit ? runtime::to_string(*exit) : to_string(exit.error()), to_ms(pause));
            co_await runtime::sleep_for(pause);
            pause = std::min(pause * 2, kBackOffMost);
        }
        ended = true;
        end_if_alone();
    }

    bool armed() const {
        auto const words = DeadlineFile::peek(config_.directory);
        return words && words->armed;
    }

    // A process that hangs is worth less than one that died: that one is started again.
    Task<void> feel_pulses() {
        for (;;) {
            co_await runtime::sleep_for(kLookEvery);
            auto const words = DeadlineFile::peek(config_.directory).value_or(DeadlineView{});
            auto const now = runtime::boot_now();
            if (guardian_) feel_guardian(words, now);
            if (agent_) feel_agent(words, now);
        }
    }

    void feel_guardian(DeadlineView const& words, Instant now) {
        bool const on_duty = words.guardian == guardian_->pid();
        auto const silent = guardian_pulse_.look(words.guardian_beats, now);
        if (on_duty && agent_ended_) (void)guardian_->signal(SIGTERM);  // one that was started since
        bool const may_be_starting = !on_duty && now - guardian_begun_ < kGuardianStartsWithin;
        if (silent < kGuardSilentMost || may_be_starting || guardian_killed_) return;
        guardian_killed_ = true;
        (void)guardian_->signal(SIGKILL);
        log::error("tree", "the guardian hangs: no sign of it for {} ms; it is killed and started again",
                   to_ms(silent));
    }

    // One that has not begun to write yet may wait for a disk.
    void feel_agent(DeadlineView const& words, Instant now) {
        auto const silent =
            agent_pulse_.look(static_cast<std::uint64_t>(words.heartbeat.time_since_epoch().count()), now);
        if (words.heartbeat < agent_begun_ || silent < kAgentSilentMost) return;
        agent_pulse_ = {};
        log::error("tree", "the agent hangs: no sign of it for {} s; it is killed and started again",
                   to_ms(silent) / 1000);
        (void)agent_->signal(SIGKILL);
    }

    Task<void> heed_signals() {
        for (;;) {
            int const number = co_await signals_.next();
            if (number != SIGHUP) {
                if (!ending_) notify_systemd("STOPPING=1\n");
                ending_ = true;
            }
            if (agent_) (void)agent_->signal(number == SIGHUP ? SIGHUP : SIGTERM);
            if (proxy_) (void)proxy_->signal(number == SIGHUP ? SIGHUP : SIGTERM);
        }
    }

    void end_if_alone() {
        if (agent_ended_ && guardian_ended_ && proxy_ended_ && archiver_ended_) io_.stop();
    }

    config::NodeConfig const& config_;
    std::optional<Account> account_;
    runtime::Io io_;
    runtime::Signals signals_;
    runtime::Scope scope_;
    std::optional<runtime::Child> agent_;
    std::optional<runtime::Child> guardian_;
    std::optional<runtime::Child> proxy_;
    std::optional<runtime::Child> archiver_;
    Pulse agent_pulse_, guardian_pulse_;
    Instant agent_begun_, guardian_begun_;
    bool guardian_killed_ = false;
    bool ending_ = false;
    bool agent_ended_ = false;
    bool guardian_ended_ = false;
    bool proxy_ended_ = false;
    bool archiver_ended_ = false;
    int exit_code_ = 0;
};

}  // namespace

int run_tree(config::NodeConfig const& config) {
    auto const code = Tree(config).run();
    if (code) return *code;
    log::error("tree", "{}", to_string(code.error()));
    return kExitRefused;
}

}  // namespace keel::agent
