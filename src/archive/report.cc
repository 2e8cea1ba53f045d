#include "archive/report.h"

#include <fmt/format.h>

#include <algorithm>

#include "archive/logical.h"
#include "runtime/clock.h"

namespace keel::archive {

namespace {

std::string hole_of(Backup const& newest, std::vector<Range> const& ranges, Lineage const& lineage) {
    if (is_left_behind(newest, lineage))
        return fmt::format("the newest backup, {}, is of a timeline that was left: pgkeel backup create", newest.label);
    auto const gaps = gaps_of({newest}, ranges, lineage);
    if (gaps.empty()) return {};
    return fmt::format("WAL from {} to {} is missing, so nothing behind it can be restored: pgkeel backup create",
                       to_string(gaps.front().wal.from), to_string(gaps.front().wal.to));
}

std::vector<cluster::KeptBackup> kept_of(std::vector<Backup> const& backups, std::vector<Dump> const& dumps,
                                         std::vector<Range> const& ranges, Lineage const& lineage) {
    std::vector<cluster::KeptBackup> out;
    for (auto const& one : backups) {
        auto const* const range = missing_link(one, backups).empty() ? range_of(one, ranges, lineage) : nullptr;
        out.push_back({one.label, boost::describe::enum_to_string(one.kind, "?"), "", one.begun_unix_ms,
                       one.ended_unix_ms, one.bytes, one.stored_bytes, range != nullptr,
                       range != nullptr && range == &ranges.back()});
    }
    for (auto const& one : dumps)
        out.push_back({one.label, "dump", one.database, one.begun_unix_ms, one.ended_unix_ms, one.bytes,
                       one.stored_bytes, true, false});
    std::ranges::sort(out, {}, [](cluster::KeptBackup const& one) { return std::pair(one.begun_unix_ms, one.label); });
    if (out.size() > cluster::kKeptMost)
        out.erase(out.begin(), out.end() - static_cast<std::ptrdiff_t>(cluster::kKeptMost));
    return out;
}

}  // namespace

Result<std::string> own_system(Repository const& repository, std::string const& cluster_id) {
    KEEL_TRY(auto const systems, repository.systems());
    for (auto const& system : systems) {
        auto const own = repository.check_owner(system, cluster_id);
        if (own) return system;
        if (own.error().code != Code::conflict) return fail(own.error());
    }
    return fail(Code::not_found, "the repository has nothing of this cluster",
                "is the archiver of the primary at work? Its node's log says why not");
}

Result<cluster::ArchiveSight> look(Repository const& repository, std::string const& cluster_id) {
    cluster::ArchiveSight out;
    out.report.unix_ms = runtime::unix_ms_now();
    auto const system = own_system(repository, cluster_id);
    if (!system && system.error().code == Code::not_found) return out;
    KEEL_CHECK(system);
    KEEL_TRY(auto const backups, repository.backups(*system));
    KEEL_TRY(auto const dumps, dumps_of(repository, *system));
    auto const segment_bytes = backups.empty() ? std::uint64_t{16U << 20U} : backups.back().segment_bytes;
    KEEL_TRY(auto const listing, repository.list(*system, segment_bytes));
    auto const lineage = listing.newest();
    auto const ranges = ranges_of(listing.holdings(segment_bytes, lineage), lineage);
    out.kept = kept_of(backups, dumps, ranges, lineage);
    if (!ranges.empty()) out.report.archived_to = ranges.back().to;
    if (backups.empty()) return out;
    out.report.newest = backups.back().label;
    out.report.newest_unix_ms = backups.back().begun_unix_ms;
    out.report.hole = hole_of(backups.back(), ranges, lineage);
    return out;
}

}  // namespace keel::archive
