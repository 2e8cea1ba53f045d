#include "archive/restore.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "archive/lay_out.h"
#include "archive/lone_server.h"
#include "runtime/clock.h"
#include "runtime/files.h"

namespace keel::archive {

namespace {

namespace fs = std::filesystem;
using postgres::Bound;

constexpr std::uint64_t kSegmentMost = 1U << 30U;

Error not_reached(RestoreTo const& to) {
    return {Code::unavailable,
            "the server did not reach the target: its last words are in " + to.directory + "/restore.log",
            "pgkeel backup verify says whether the repository is whole"};
}

Status prove(RestoreTo const& to, RestoreTook& took, Bound const& bound) {
    auto const begun = runtime::boot_now();
    auto server = LoneServer::start(to.directory, to.binaries, bound);
    auto const proof = server ? server->wait_for_end_of_recovery(bound) : Status(std::unexpected(server.error()));
    if (!proof) return fail(bound.over() ? bound.why("the restored server's recovery") : not_reached(to));
    auto const reached = runtime::boot_now();
    took.replay = reached - begun;
    if (to.look) KEEL_CHECK(to.look(*server));
    took.look = runtime::boot_now() - reached;
    return server->stop();
}

}  // namespace

Result<Plan> find_plan(Repository const& repository, std::string const& system, Target const& target) {
    KEEL_TRY(auto const backups, repository.backups(system));
    return find_plan(repository, system, backups, target);
}

Result<Plan> find_plan(Repository const& repository, std::string const& system, std::vector<Backup> const& backups,
                       Target const& target) {
    if (backups.empty())
        return fail(Code::not_found, "there is no complete backup in the repository", "pgkeel backup create");
    Origin const origin{std::strtoull(system.c_str(), nullptr, 10), backups.back().segment_bytes};
    KEEL_TRY(auto const listing, repository.list(system, origin.segment_bytes));
    auto const lineage = listing.newest();
    auto const ranges = ranges_of(listing.holdings(origin.segment_bytes, lineage), lineage);
    Records last;
    if (!ranges.empty()) {
        KEEL_TRY(last, records_at_end(repository, system, origin, lineage, ranges.back()));
    }
    return plan_restore(backups, ranges, lineage, last, target);
}

Status check_empty(std::string const& directory) {
    std::error_code error;
    if (!fs::exists(directory, error)) return {};
    if (!fs::is_directory(directory, error) || !fs::is_empty(directory, error) || error)
        return fail(Code::conflict, directory + " is not an empty directory",
                    "name another one with --to: nothing that is there is ever written over");
    return {};
}

Result<RestoreTook> restore(Repository const& repository, Plan const& plan, RestoreTo const& to,
                            BackupProgress const& progress, Bound const& bound) {
    RestoreTook took;
    auto const begun = runtime::boot_now();
    KEEL_TRY(auto const laid, lay_out(repository, plan, to, progress, bound));
    KEEL_CHECK(recover_to(plan, to, laid, "promote"));
    took.files = runtime::boot_now() - begun;
    KEEL_CHECK(prove(to, took, bound));
    KEEL_CHECK(end_recovery(to, laid));
    return took;
}

Status end_standing_alone(std::string const& directory) {
    auto const settings = directory + "/postgresql.auto.conf";
    KEEL_TRY(auto const text, runtime::read_file(settings, 16U << 20U));
    return runtime::write_atomically(settings, text.substr(0, text.find(kAloneMark)), 0600);
}

Status fetch_wal(Repository const& repository, std::string const& system, std::string const& name,
                 std::string const& path) {
    auto bytes = repository.get_wal(system, name, kSegmentMost);
    if (!bytes && bytes.error().code == Code::not_found && name.size() == 24) {
        // The beginning of the segment that was being written; the rest reads as zeroes, which end WAL.
        bytes = repository.get_tail(system, name, kSegmentMost);
        if (bytes && bytes->size() >= 40) {
            std::uint32_t size = 0;  // xlp_seg_size of the first page
            std::copy_n(bytes->data() + 32, sizeof size, reinterpret_cast<char*>(&size));
            if (!is_segment_bytes(size)) return fail(Code::corrupt, name + " in the repository is no WAL");
            bytes->resize(size);
        } else if (bytes) {
            return fail(Code::not_found, name + " is not in the repository");
        }
    }
    KEEL_CHECK(bytes);
    return runtime::write_atomically(path, *bytes, 0600);
}

}  // namespace keel::archive
