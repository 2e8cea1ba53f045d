// The guardian's judgement, and that of those who watch it. Pure.
#pragma once

#include <optional>
#include <string>

#include "agent/deadline_file.h"
#include "postgres/process.h"

namespace keel::agent {

// A guardian looks at the words at least so often, and beats each time.
inline constexpr Duration kGuardLooksEvery = 100ms;
// One that does not beat for so long is killed and replaced: well within the shortest lease, so that the next one is on
// duty before the deadline of an agent that was hit by the same misfortune.
inline constexpr Duration kGuardSilentMost = 600ms;

enum class Servers {
    unknown,  // nobody looked yet
    none,     // no process of a server is there
    another,  // one that was started since the words were armed: a standby
    meant,    // the one that the words mean, or what is left of it
};
// `postmaster`: the living one that postmaster.pid names.
Servers judge_servers(DeadlineView const& view, bool any, bool meant_lives,
                      std::optional<postgres::ServerProcess> const& postmaster);

struct Surroundings {
    Instant now{};
    Servers servers = Servers::unknown;
    bool asked_to_end = false;
    bool orphaned = false;  // the root of the tree is gone
    bool relieved = false;  // and another guardian has gone on duty
};
enum class Act { sleep, look, strike, end };
struct GuardStep {
    Act act = Act::sleep;
    Duration span{0};  // of the sleep
};
GuardStep decide(DeadlineView const& view, Surroundings const& around);

// For how long a count stood still while its watcher was awake. A machine that was suspended, or a watcher that did not
// get a processor, accuses nobody.
class Pulse {
  public:
    // To be called regularly.
    Duration look(std::uint64_t count, Instant now);
    Duration silent() const { return silent_; }

  private:
    std::optional<std::uint64_t> count_;
    Instant looked_;
    Duration silent_{0};
};

// What status says of the guardian: "on duty", with what it lacks, or that it is silent and what to do.
std::string guardian_text(DeadlineView const& view, Duration silent);

}  // namespace keel::agent
