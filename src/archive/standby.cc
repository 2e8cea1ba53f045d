#include "archive/standby.h"

#include "archive/lay_out.h"
#include "archive/lone_server.h"
#include "runtime/clock.h"

namespace keel::archive {

namespace {

// That much a primary surely has for whoever comes to stream: wal_keep_size of a cluster is eight times this.
constexpr std::uint64_t kNear = 64U << 20U;

}  // namespace

Result<RestoreTook> restore_standby(Repository const& repository, Plan const& plan, RestoreTo const& to,
                                    BackupProgress const& progress, postgres::Bound const& bound) {
    RestoreTook took;
    auto const begun = runtime::boot_now();
    KEEL_TRY(auto const laid, lay_out(repository, plan, to, progress, bound));
    auto const unpacked = runtime::boot_now();
    took.files = unpacked - begun;
    auto laid_backup = plan.backup;
    laid_backup.chain.clear();  // its files are there: nothing else is needed for them
    // The WAL that was written while the rest was replayed is less each time.
    for (Lsn reached;;) {
        KEEL_TRY(auto const next, find_plan(repository, plan.backup.system_id, {laid_backup}, {}));
        if (reached > Lsn{} && next.target.lsn->value < reached.value + kNear) break;
        KEEL_CHECK(recover_to(next, to, laid, "shutdown"));
        KEEL_CHECK(LoneServer::recover(to.directory, to.binaries, bound));
        reached = *next.target.lsn;
    }
    KEEL_CHECK(end_recovery(to, laid));
    took.replay = runtime::boot_now() - unpacked;
    return took;
}

}  // namespace keel::archive
