#include "archive/copies.h"

#include <fmt/format.h>

#include <algorithm>

#include "archive/base_backup.h"
#include "archive/expire.h"
#include "archive/hold.h"
#include "runtime/clock.h"

namespace keel::archive {

namespace {

constexpr std::size_t kSmall = 1U << 20U;

class Copying {
  public:
    Copying(Repository const& from, Repository const& to, CopyAsked const& asked)
        : from_(from), to_(to), system_(asked.system) {}

    Result<Copied> run() {
        // What they need of WAL is there before they are: so the list of WAL is the later one.
        KEEL_TRY(auto const backups, from_.backups(system_));
        KEEL_TRY(auto const dumps, dumps_of(from_, system_));
        segment_bytes_ = backups.empty() ? std::uint64_t{16U << 20U} : backups.back().segment_bytes;
        KEEL_TRY(auto const there, from_.list(system_, segment_bytes_));
        KEEL_TRY(auto const here, to_.list(system_, segment_bytes_));
        KEEL_CHECK(copy_histories(there, here));
        KEEL_CHECK(copy_segments(there, here, needed_from(backups)));
        KEEL_CHECK(copy_tails(there, here));
        KEEL_CHECK(copy_backups(backups));
        KEEL_CHECK(copy_dumps(dumps));
        auto const lineage = there.newest();
        auto const ranges = ranges_of(there.holdings(segment_bytes_, lineage), lineage);
        if (!ranges.empty()) out_.wal_to = ranges.back().to;
        return out_;
    }

  private:
    // What lies before the first one is about to go, or went from the copy already.
    std::uint64_t needed_from(std::vector<Backup> const& backups) const {
        if (backups.empty()) return 0;
        return std::ranges::min(backups, {}, &Backup::start).start.value / segment_bytes_;
    }

    std::string name_of(SegmentId const& id) const {
        return postgres::segment_name(id.timeline, id.number, segment_bytes_);
    }

    // Gone meanwhile, by an expiry or because a tail has become a segment: that is fine.
    Status copy_wal(std::string const& name, std::size_t most) {
        auto const bytes = from_.get_wal(system_, name, most);
        if (!bytes && bytes.error().code == Code::not_found) return {};
        KEEL_CHECK(bytes);
        KEEL_CHECK(to_.put_wal(system_, name, *bytes));
        ++out_.segments;
        return {};
    }

    Status copy_histories(Repository::Listing const& there, Repository::Listing const& here) {
        for (auto const& one : there.lineages) {
            bool const known =
                std::ranges::find(here.lineages, one.timeline, &Lineage::timeline) != here.lineages.end();
            if (!known) KEEL_CHECK(copy_wal(fmt::format("{:08X}.history", one.timeline.value), kSmall));
        }
        return {};
    }

    // In their order, so that one that is cut short leaves no hole.
    Status copy_segments(Repository::Listing const& there, Repository::Listing const& here, std::uint64_t first) {
        std::vector<SegmentId> missing;
        std::ranges::copy_if(there.segments, std::back_inserter(missing),
                             [&](SegmentId const& id) { return id.number >= first && !here.segments.contains(id); });
        std::ranges::sort(missing, {}, [](SegmentId const& id) { return std::pair(id.number, id.timeline); });
        for (auto const& id : missing) KEEL_CHECK(copy_wal(name_of(id), segment_bytes_));
        for (auto const& [id, size] : here.tails)
            if (there.segments.contains(id)) KEEL_CHECK(to_.remove_tail(system_, name_of(id)));
        return {};
    }

    Status copy_tails(Repository::Listing const& there, Repository::Listing const& here) {
        for (auto const& [id, size] : there.tails) {
            auto const known = here.tails.find(id);
            if (there.segments.contains(id) || (known != here.tails.end() && known->second >= size)) continue;
            auto const bytes = from_.get_tail(system_, name_of(id), segment_bytes_);
            if (!bytes && bytes.error().code == Code::not_found) continue;
            KEEL_CHECK(bytes);
            KEEL_CHECK(to_.put_tail(system_, name_of(id), *bytes, 0));
        }
        return {};
    }

    Status copy_object(std::string const& name, std::uint64_t expected, std::string const& sha256) {
        KEEL_TRY(auto const upload, to_.objects().upload(name, expected));
        Sha256 hash;
        KEEL_CHECK(from_.objects().read(name, [&](std::string_view part) -> Status {
            hash.add(part);
            out_.bytes += part.size();
            return upload->add(part);
        }));
        if (!sha256.empty() && hash.hex() != sha256)
            return fail(Code::corrupt, from_.objects().where(name) + " is not what was stored",
                        "bring it back from another copy, or expire the backup: pgkeel backup verify");
        return upload->finish();
    }

    // Last of all: what it is of is visible now. Another one may be at the same.
    Status describe(std::string const& name, std::string const& text) {
        auto const made = to_.objects().create(name, text + "\n");
        return made || made.error().code == Code::conflict ? Status() : made;
    }

    Status copy_backups(std::vector<Backup> const& backups) {
        KEEL_TRY(auto const present, to_.backups(system_));
        for (auto const& one : backups) {
            if (std::ranges::find(present, one.label, &Backup::label) != present.end()) continue;
            auto const done = copy_backup(one);
            if (done) continue;
            // It expired meanwhile.
            KEEL_TRY(auto const left, from_.backups(system_));
            if (std::ranges::find(left, one.label, &Backup::label) != left.end()) return done;
        }
        return {};
    }

    Status copy_backup(Backup const& one) {
        Hold const hold{one.label, one.start, 0, "is being copied", one.chain};
        KEEL_TRY(auto const stays, WorkHold::place(from_, system_, hold));
        KEEL_TRY(auto const waits, WorkHold::place(to_, system_, hold));
        KEEL_CHECK(check_announced(to_, system_, one.start));
        for (auto const& file : files_of(one))
            KEEL_CHECK(copy_object(Repository::backup_object(system_, one.label, file.name), file.expected_bytes,
                                   file.sha256));
        KEEL_CHECK(describe(Repository::backup_object(system_, one.label, "backup.json"), json::write(one)));
        ++out_.backups;
        return {};
    }

    Status copy_dumps(std::vector<Dump> const& dumps) {
        KEEL_TRY(auto const present, dumps_of(to_, system_));
        for (auto const& one : dumps) {
            if (std::ranges::find(present, one.label, &Dump::label) != present.end()) continue;
            auto const done = copy_dump(one);
            if (!done && done.error().code != Code::not_found) return done;
        }
        return {};
    }

    Status copy_dump(Dump const& one) {
        KEEL_CHECK(copy_object(Repository::dump_object(system_, one.label, "dump.zst"), one.stored_bytes, one.sha256));
        KEEL_CHECK(describe(Repository::dump_object(system_, one.label, "dump.json"), json::write(one)));
        ++out_.dumps;
        return {};
    }

    Repository const &from_, &to_;
    std::string system_;
    std::uint64_t segment_bytes_ = 0;
    Copied out_;
};

}  // namespace

Result<Copied> copy_archive(Repository const& from, Repository const& to, CopyAsked const& asked) {
    KEEL_CHECK(to.claim(asked.system, asked.cluster_id, asked.memory));
    return Copying(from, to, asked).run();
}

Result<Thinned> thin_copy(Repository const& from, Repository const& to, std::string const& system,
                          Retention const& retention, std::uint32_t dump_days) {
    Thinned out;
    KEEL_CHECK(mend_expiry(to, system));
    KEEL_TRY(auto const backups, from.backups(system));
    std::vector<Hold> also;
    for (auto const& one : backups) also.push_back({one.label, one.start, 0, "is in the first repository", one.chain});
    KEEL_TRY(auto const plan, find_expiry(to, system, retention, also));
    KEEL_TRY(auto const done, expire(to, system, plan));
    out.backups = done.backups;
    out.segments = done.segments;
    if (dump_days == 0) return out;
    KEEL_TRY(auto const first, dumps_of(from, system));
    KEEL_TRY(auto const all, dumps_of(to, system));
    for (auto const& one : old_dumps(all, dump_days, runtime::unix_ms_now())) {
        if (std::ranges::find(first, one.label, &Dump::label) != first.end()) continue;
        KEEL_CHECK(remove_dump(to, one));
        ++out.dumps;
    }
    return out;
}

}  // namespace keel::archive
