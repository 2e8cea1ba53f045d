#include "archive/verify.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <set>

namespace keel::archive {

namespace {

class Verification {
  public:
    Verification(Repository const& repository, std::string const& system, std::uint64_t segment_bytes)
        : repository_(repository),
          system_(system),
          origin_{std::strtoull(system.c_str(), nullptr, 10), segment_bytes} {}

    void read_backup(Backup const& one) {
        auto const status = verify_backup(repository_, one, [](std::uint64_t, std::uint64_t) {});
        if (!status && status.error().code == Code::not_found) return;  // expired meanwhile
        ++out_.backups;
        if (!status) wrong(fmt::format("backup {}: {}", one.label, status.error().text));
    }

    void read_segment(SegmentId const& id) {
        auto const name = name_of(id);
        auto const bytes = repository_.get_wal(system_, name, origin_.segment_bytes);
        if (!bytes && bytes.error().code == Code::not_found && is_expired(id)) return;
        ++out_.segments;
        if (!bytes)
            wrong(fmt::format("WAL: {}", bytes.error().text));
        else
            check(id, *bytes);
    }

    // One that is complete by now has gone.
    void read_tail(SegmentId const& id) {
        auto const bytes = repository_.get_tail(system_, name_of(id), origin_.segment_bytes);
        if (bytes)
            check(id, *bytes);
        else if (bytes.error().code != Code::not_found ||
                 !repository_.get_wal(system_, name_of(id), origin_.segment_bytes))
            wrong(fmt::format("WAL, beginning of {}: {}", name_of(id), bytes.error().text));
    }

    void find_gaps(std::vector<Backup> const& backups, Repository::Listing const& listing, Lineage const& lineage) {
        auto const ranges = ranges_of(listing.holdings(origin_.segment_bytes, lineage), lineage);
        for (auto const& gap : gaps_of(backups, ranges, lineage)) {
            // Another timeline, or an older backup, has said so already.
            if (!gaps_.insert({gap.wal.from, gap.wal.to}).second) continue;
            wrong(
                fmt::format("WAL: {} to {} of timeline {} is missing; from backup {} on, nothing can be restored "
                            "across it",
                            to_string(gap.wal.from), to_string(gap.wal.to), lineage.timeline.value, gap.label));
        }
    }

    Verified take() { return std::move(out_); }
    std::string name_of(SegmentId const& id) const {
        return postgres::segment_name(id.timeline, id.number, origin_.segment_bytes);
    }

  private:
    // No backup that is there now needs it.
    bool is_expired(SegmentId const& id) const {
        auto const left = repository_.backups(system_);
        return left && !left->empty() && std::ranges::none_of(*left, [&](Backup const& one) {
                   return one.start.value / origin_.segment_bytes <= id.number;
               });
    }
    void wrong(std::string text) { out_.wrong.push_back(std::move(text)); }
    void check(SegmentId const& id, std::string_view bytes) {
        if (auto const status = check_pages(origin_, id, bytes); !status)
            wrong(fmt::format("WAL {}: {}", name_of(id), status.error().text));
    }

    Repository const& repository_;
    std::string const& system_;
    Origin origin_;
    Verified out_;
    std::set<std::pair<Lsn, Lsn>> gaps_;
};

std::set<Timeline> timelines_of(Repository::Listing const& listing) {
    std::set<Timeline> out;
    for (auto const& id : listing.segments) out.insert(id.timeline);
    for (auto const& [id, size] : listing.tails) out.insert(id.timeline);
    return out;
}

}  // namespace

Result<Verified> verify_all(Repository const& repository, std::string const& system,
                            std::function<void(std::string const&)> const& each) {
    KEEL_TRY(auto const backups, repository.backups(system));
    auto const bytes = backups.empty() ? std::uint64_t{16U << 20U} : backups.back().segment_bytes;
    KEEL_TRY(auto const listing, repository.list(system, bytes));
    Verification work(repository, system, bytes);
    auto const present = timelines_of(listing);
    for (auto lineage = listing.lineages.rbegin(); lineage != listing.lineages.rend(); ++lineage)
        if (present.contains(lineage->timeline)) work.find_gaps(backups, listing, *lineage);
    for (auto const& one : backups) {
        each(one.label);
        work.read_backup(one);
    }
    for (auto const& id : listing.segments) {
        each(work.name_of(id));
        work.read_segment(id);
    }
    for (auto const& [id, size] : listing.tails) work.read_tail(id);
    return work.take();
}

}  // namespace keel::archive
