#include "archive/expire.h"

#include <algorithm>
#include <cstdlib>
#include <map>

#include "archive/base_backup.h"
#include "archive/hold.h"
#include "runtime/clock.h"

namespace keel::archive {

namespace {

// 0 when nothing there can be read: then the backups alone say how late it is.
std::int64_t last_commit(Repository const& repository, std::string const& system, std::uint64_t bytes,
                         Stock const& stock) {
    if (stock.ranges.empty()) return 0;
    Origin const origin{std::strtoull(system.c_str(), nullptr, 10), bytes};
    auto const last = records_at_end(repository, system, origin, stock.lineage, stock.ranges.back());
    return last && last->last_commit_us ? *last->last_commit_us / 1000 : 0;
}

Result<Stock> stock_of(Repository const& repository, std::string const& system) {
    Stock out;
    // The holds first: a backup that is complete meanwhile is in one of the two lists.
    KEEL_TRY(out.holds, holds_of(repository, system));
    KEEL_TRY(out.backups, repository.backups(system));
    if (out.backups.empty()) return out;
    auto const bytes = out.backups.back().segment_bytes;
    KEEL_TRY(auto const listing, repository.list(system, bytes));
    out.lineage = listing.newest();
    out.ranges = ranges_of(listing.holdings(bytes, out.lineage), out.lineage);
    out.segments = listing.segments;
    for (auto const& [id, size] : listing.tails) out.tails.insert(id);
    out.last_commit_unix_ms = last_commit(repository, system, bytes, out);
    return out;
}

constexpr std::size_t kSmall = 1U << 20U;

std::string description(std::string const& system, std::string const& label) {
    return Repository::backup_object(system, label, "backup.json");
}
std::string hidden(std::string const& system, std::string const& label) {
    return Repository::backup_object(system, label, Repository::kHidden);
}

// Another expiry may be at the same: whoever removes a backup removes its files before its description for the last
// time.
Status put_back(Repository const& repository, Backup const& one) {
    auto const back = repository.objects().create(description(one.system_id, one.label), json::write(one) + "\n");
    if (!back && back.error().code != Code::conflict) return fail(back.error());
    KEEL_TRY(auto const missing, missing_file(repository, one));
    if (!missing.empty()) return repository.remove_backup(one.system_id, one.label);
    return repository.objects().remove(hidden(one.system_id, one.label));
}

Result<std::vector<Hold>> holds_now(Repository const& repository, std::string const& system, ClockCheck const& clock) {
    KEEL_TRY(auto holds, holds_of(repository, system));
    std::erase_if(holds, [&](Hold const& one) { return is_over(one, clock, runtime::unix_ms_now()); });
    return holds;
}

// The holds first: a backup may have begun after the plan, and be complete by now.
Result<bool> is_needed(Repository const& repository, Backup const& one, ClockCheck const& clock) {
    KEEL_TRY(auto const holds, holds_now(repository, one.system_id, clock));
    KEEL_TRY(auto const left, repository.backups(one.system_id));
    return std::ranges::any_of(holds, [&](Hold const& hold) { return archive::holds(hold, one.label); }) ||
           std::ranges::any_of(left, [&](Backup const& other) {
               return std::ranges::find(other.chain, one.label) != other.chain.end();
           });
}

// Without its description nobody begins a restore from it, and no incremental one is built on it. Whoever had begun
// holds it, and is seen now. False: it stays.
Result<bool> remove_unless_needed(Repository const& repository, std::string const& system, Backup const& one,
                                  ClockCheck const& clock) {
    KEEL_CHECK(repository.objects().put(hidden(system, one.label), json::write(one) + "\n"));
    KEEL_CHECK(repository.objects().remove(description(system, one.label)));
    KEEL_TRY(bool const needed, is_needed(repository, one, clock));
    if (needed) {
        KEEL_CHECK(put_back(repository, one));
        return false;
    }
    KEEL_CHECK(repository.remove_backup(system, one.label));
    return true;
}

// Before it no WAL is needed by anybody. The holds first, as in is_needed().
Result<Lsn> needed_from(Repository const& repository, std::string const& system, Expiry const& plan) {
    auto const size = plan.kept.front().backup.segment_bytes;
    KEEL_TRY(auto const holds, holds_now(repository, system, plan.clock));
    KEEL_TRY(auto const left, repository.backups(system));
    auto from = plan.wal_from;
    for (auto const& one : holds) from = std::min(from, Lsn{one.start.value / size * size});
    for (auto const& one : left) from = std::min(from, Lsn{one.start.value / size * size});
    return from;
}

// The objects of the segments before `from`, in the plan's order. A segment may have two contents, two objects.
Result<std::vector<std::string>> objects_of(Repository const& repository, std::string const& system,
                                            std::vector<SegmentId> const& segments, std::uint64_t size, Lsn from) {
    std::map<SegmentId, std::vector<std::string>> by_id;
    KEEL_TRY(auto const names, repository.objects().list(system + "/wal/"));
    for (auto const& name : names) {
        auto const file = std::string_view(name).substr(name.rfind('/') + 1);
        auto const id = parse_segment_name(file.substr(0, file.find('-')), size);
        if (id) by_id[*id].push_back(name);
    }
    std::vector<std::string> out;
    for (auto const& id : segments) {
        if (id.number * size < from.value) out.insert(out.end(), by_id[id].begin(), by_id[id].end());
    }
    return out;
}

}  // namespace

Result<Expiry> find_expiry(Repository const& repository, std::string const& system, Retention const& retention,
                           std::vector<Hold> const& also) {
    KEEL_TRY(auto stock, stock_of(repository, system));
    stock.holds.insert(stock.holds.end(), also.begin(), also.end());
    return plan_expiry(stock, retention, runtime::unix_ms_now());
}

Status check_day_count(Repository const& repository, std::string const& system, std::uint32_t days,
                       std::int64_t also_unix_ms) {
    KEEL_TRY(auto stock, stock_of(repository, system));
    stock.last_commit_unix_ms = std::max(stock.last_commit_unix_ms, also_unix_ms);
    auto const now = runtime::unix_ms_now();
    return check_days(check_clock(stock, {.days = days}, now), now);
}

Status mend_expiry(Repository const& repository, std::string const& system) {
    KEEL_TRY(auto const labels, repository.objects().folders(system + "/backup/"));
    for (auto const& label : labels) {
        auto const text = repository.objects().get(hidden(system, label), kSmall);
        if (!text && text.error().code == Code::not_found) continue;
        KEEL_CHECK(text);
        auto const one = parse_backup(*text);
        if (!one || one->label != label || one->system_id != system)
            return fail(Code::corrupt, repository.objects().where(hidden(system, label)) + " is not of this backup",
                        "remove it, if the backup beside it is to go");
        KEEL_CHECK(put_back(repository, *one));
    }
    return {};
}

Result<Expired> expire(Repository const& repository, std::string const& system, Expiry const& plan) {
    Expired out;
    if (plan.kept.empty() || plan.wal_from.value == 0) return out;
    auto const size = plan.kept.front().backup.segment_bytes;
    KEEL_TRY(auto const mark, WorkHold::announce(repository, system, plan.wal_from));
    for (auto const& one : plan.backups) {
        KEEL_TRY(bool const removed, remove_unless_needed(repository, system, one, plan.clock));
        if (removed)
            ++out.backups;
        else
            out.kept.push_back(one.label);
    }
    KEEL_TRY(auto const from, needed_from(repository, system, plan));
    KEEL_TRY(auto const objects, objects_of(repository, system, plan.segments, size, from));
    for (auto const& name : objects) {
        KEEL_CHECK(repository.objects().remove(name));
        ++out.segments;
    }
    for (auto const& id : plan.tails) {
        if (id.number * size < from.value)
            KEEL_CHECK(repository.remove_tail(system, postgres::segment_name(id.timeline, id.number, size)));
    }
    return out;
}

}  // namespace keel::archive
