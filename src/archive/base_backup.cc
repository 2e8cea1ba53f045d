#include "archive/base_backup.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <memory>

#include "archive/bytes.h"
#include "archive/hold.h"
#include "archive/manifest.h"
#include "archive/packed.h"
#include "archive/retention.h"
#include "archive/wire.h"
#include "postgres/copy.h"
#include "runtime/clock.h"
#include "runtime/files.h"

namespace keel::archive {

namespace {

using postgres::Bound;

constexpr Duration kSilenceMost = 600s;  // the checkpoint at the beginning may take long
constexpr Duration kWalWithin = 60s;
constexpr int kVersionLeast = 150000;
constexpr std::size_t kManifestMost = 256U << 20U;
constexpr std::size_t kListMost = 512U << 20U;  // of some 8 TB
constexpr std::size_t kChainMost = 500;
constexpr char const* kTar = "base.tar.zst";
constexpr char const* kBlocks = "blocks.zst";
constexpr char const* kList = "blocklist.zst";
constexpr char const* kManifest = "backup_manifest";

char const* data_file(Backup const& backup) { return backup.kind == BackupKind::full ? kTar : kBlocks; }

Result<std::pair<Lsn, Timeline>> position_of(std::vector<postgres::Rows> const& sets, std::size_t which) {
    if (sets.size() > which && !sets[which].empty() && sets[which][0].size() >= 2 && sets[which][0][0]) {
        auto const lsn = parse_lsn(*sets[which][0][0]);
        auto const number = std::strtoul(sets[which][0][1].value_or("0").c_str(), nullptr, 10);
        if (lsn && number > 0) return std::pair(*lsn, Timeline{static_cast<std::uint32_t>(number)});
    }
    return fail(Code::corrupt, "PostgreSQL does not say where the backup begins or ends");
}

// The newest that there is a list of, and all that it is built on.
struct Parent {
    Backup backup;
    BlockList list;
};

Error no_parent(std::string text) {
    return {Code::not_found, std::move(text), "take a full one: pgkeel backup create"};
}

Result<Parent> find_parent(Repository const& repository, std::string const& system) {
    KEEL_TRY(auto const all, repository.backups(system));
    auto const fits = [&](Backup const& one) { return !one.blocks_sha256.empty() && missing_link(one, all).empty(); };
    auto const newest = std::ranges::find_if(all.rbegin(), all.rend(), fits);
    if (newest == all.rend())
        return fail(no_parent("there is no backup in the repository that an incremental one can be built on"));
    if (newest->chain.size() >= kChainMost)
        return fail(no_parent(fmt::format("{} is built on {} others", newest->label, kChainMost)));
    auto chain = newest->chain;
    chain.push_back(newest->label);
    for (auto const& link : chain) {
        KEEL_TRY(auto const missing, missing_file(repository, *std::ranges::find(all, link, &Backup::label)));
        if (!missing.empty())
            return fail(no_parent(fmt::format("{} is not there, which an incremental backup would be built on",
                                              repository.objects().where(missing))));
    }
    auto list = read_blocklist(repository, *newest);
    if (!list)
        return fail(no_parent("an incremental backup cannot be built on " + newest->label + ": " + list.error().text));
    return Parent{*newest, *std::move(list)};
}

Status check_chain(Repository const& repository, Backup const& backup) {
    KEEL_TRY(auto const all, repository.backups(backup.system_id));
    auto const missing = missing_link(backup, all);
    if (missing.empty()) return {};
    return fail(Code::conflict, missing + ", which this backup is built on, has just expired", "take it again");
}

// A backup at work: from what the server sends to what is stored.
class Taking {
  public:
    Taking(Repository const& repository, Backup& out, Parent const* parent)
        : repository_(repository),
          out_(out),
          parent_(parent),
          blocks_(parent == nullptr ? nullptr : &parent->list, out.chain.size(),
                  [this](std::string_view block) { return parent_ == nullptr ? Status() : packed_->add(block); }) {}
    // Holds it from then on.
    Status stream(postgres::Connection& link, BackupProgress const& progress);
    Status finish();

  private:
    Status take(std::string_view message);
    Status check_files() const;
    std::string object(char const* file) const { return Repository::backup_object(out_.system_id, out_.label, file); }

    Repository const& repository_;
    Backup& out_;
    Parent const* parent_;
    std::unique_ptr<WorkHold> hold_;
    std::unique_ptr<Upload> upload_;
    std::unique_ptr<PackedUpload> packed_;
    BlockTaker blocks_;
    std::string manifest_;
    bool in_manifest_ = false;
};

// Messages: n(ew archive), m(anifest), d(ata), p(rogress).
Status Taking::take(std::string_view message) {
    if (message.empty()) return fail(Code::corrupt, "PostgreSQL sent an empty message");
    auto const body = message.substr(1);
    if (message[0] == 'm') in_manifest_ = true;
    if (message[0] != 'd') return {};
    if (!in_manifest_) {
        out_.bytes += body.size();
        KEEL_CHECK(blocks_.feed(body));
        return parent_ == nullptr ? packed_->add(body) : Status();
    }
    manifest_ += body;
    if (manifest_.size() <= kManifestMost) return {};
    return fail(Code::exhausted, "the backup's manifest is too long");
}

Status Taking::stream(postgres::Connection& link, BackupProgress const& progress) {
    KEEL_TRY(auto const before, link.start_stream(fmt::format("BASE_BACKUP (LABEL '{}', CHECKPOINT 'fast', PROGRESS, "
                                                              "MANIFEST 'yes', MANIFEST_CHECKSUMS 'SHA256')",
                                                              out_.label),
                                                  Bound(kSilenceMost)));
    KEEL_TRY(auto const begin, position_of(before, 0));
    std::tie(out_.start, out_.timeline) = begin;
    // A standby's backup may begin before the newest that is complete, and its WAL must stay.
    KEEL_TRY(hold_, WorkHold::place(repository_, out_.system_id, {out_.label, out_.start, 0, kBeingTaken, out_.chain}));
    KEEL_CHECK(check_announced(repository_, out_.system_id, out_.start));
    KEEL_CHECK(check_chain(repository_, out_));
    std::uint64_t total = 0;
    if (before.size() > 1 && !before[1].empty() && before[1][0].size() > 2)
        total = std::strtoull(before[1][0][2].value_or("0").c_str(), nullptr, 10) * 1024;
    KEEL_TRY(upload_, repository_.objects().upload(object(data_file(out_)), total));
    packed_ = std::make_unique<PackedUpload>(*upload_);
    for (;;) {
        KEEL_TRY(auto const message, link.receive(Bound(kSilenceMost)));
        if (message.kind == postgres::Streamed::Kind::nothing)
            return fail(Code::timeout, "the server sends nothing any more");
        if (message.kind == postgres::Streamed::Kind::end) break;
        KEEL_CHECK(take(message.bytes));
        progress(out_.bytes, total);
    }
    KEEL_TRY(auto const behind, link.end_stream(Bound(kSilenceMost)));
    KEEL_TRY(auto const end, position_of(behind, 0));
    std::tie(out_.end, out_.end_timeline) = end;
    return {};
}

// Of an incremental backup no file is stored as a whole, so this is the last time to see that it is what was sent.
Status Taking::check_files() const {
    if (!blocks_.complete()) return fail(Code::corrupt, "the server's tar is cut off");
    KEEL_TRY(auto const files, parse_manifest(manifest_));
    if (parent_ == nullptr) return {};
    for (auto const& [path, file] : files) {
        auto const* got = blocks_.list().find(path);
        auto const whole = blocks_.whole().find(path);
        bool const good = got != nullptr && got->size == file.size && whole != blocks_.whole().end() &&
                          (file.sha256.empty() || whole->second == file.sha256);
        if (!good)
            return fail(Code::corrupt, path + " is not what the server's manifest says", "take the backup again");
    }
    return {};
}

Status Taking::finish() {
    KEEL_CHECK(packed_->finish());
    KEEL_CHECK(check_files());
    auto const list = blocks_.list().text();
    if (list.size() <= kListMost) {
        KEEL_TRY(auto const packed, compress(list));
        KEEL_CHECK(repository_.objects().put(object(kList), packed));
        out_.blocks_sha256 = sha256_hex(list);
    } else if (parent_ != nullptr) {
        return fail(no_parent("the list of the backup's blocks is too long"));
    }
    KEEL_CHECK(repository_.objects().put(object(kManifest), manifest_));
    out_.stored_bytes = packed_->stored();
    out_.sha256 = packed_->hash();
    out_.manifest_sha256 = sha256_hex(manifest_);
    return {};
}

// All of it, on the timelines that the cluster goes on with.
Status wait_for_wal(Repository const& repository, Backup const& backup) {
    Bound const bound(kWalWithin);
    do {
        KEEL_TRY(auto const listing, repository.list(backup.system_id, backup.segment_bytes));
        auto const lineage = listing.newest();
        auto const ranges = ranges_of(listing.holdings(backup.segment_bytes, lineage), lineage);
        if (range_of(backup, ranges, lineage) != nullptr) return {};
        if (is_left_behind(backup, lineage))
            return fail(
                Code::conflict,
                fmt::format("the cluster has gone on with timeline {}, which this backup, {} of timeline {} to {} "
                            "of timeline {}, does not lead to: a change of the primary fell into it",
                            lineage.timeline.value, to_string(backup.start), backup.timeline.value,
                            to_string(backup.end), backup.end_timeline.value),
                "take the backup again");
    } while (bound.pause(repository.pace().store));
    return fail(
        Code::timeout,
        fmt::format("the WAL from {} to {} is not in the repository, and without it the backup is worth nothing",
                    to_string(backup.start), to_string(backup.end)),
        "is the archiver of the primary at work? Its node's log says why not");
}

// Two backups may begin in one second.
Result<std::string> free_label(Repository const& repository, std::string const& system, std::string const& node) {
    for (Bound const bound(10s);;) {
        auto out = postgres::utc_stamp() + "-" + node;  // as is_label_of() knows it
        KEEL_TRY(auto const there, repository.objects().list(Repository::backup_object(system, out, "")));
        if (there.empty()) return out;
        if (!bound.pause(200ms))
            return fail(Code::conflict, "there is a backup " + out + " already", "take the backup again");
    }
}

Status refuse_tablespaces(postgres::Connection& link) {
    KEEL_TRY(auto const count, link.value("SELECT count(*) FROM pg_tablespace WHERE spcname !~ '^pg_'", Bound(10s)));
    if (count == "0") return {};
    return fail(Code::invalid, "this database cluster has tablespaces, which backups do not cover",
                "take the backup with pg_basebackup, or move the tables into the default tablespace");
}

}  // namespace

Status remove_leftovers(Repository const& repository, std::string const& system, std::string const& node) {
    // Or it would keep, for days, what it was built on.
    KEEL_CHECK(remove_dead_holds(repository, system, [&](auto const& label) { return is_label_of(label, node); }));
    KEEL_TRY(auto const holds, holds_of(repository, system));
    KEEL_TRY(auto const labels, repository.objects().folders(system + "/backup/"));
    KEEL_TRY(auto const complete, repository.backups(system));
    auto const held = [&](std::string const& label) {
        return std::ranges::any_of(holds, [&](Hold const& one) {
            return archive::holds(one, label) && one.why != kBeingTaken && !is_over(one, {}, runtime::unix_ms_now());
        });
    };
    for (auto const& label : labels) {
        bool const whole = std::ranges::find(complete, label, &Backup::label) != complete.end();
        if (!is_label_of(label, node) || whole || held(label)) continue;
        KEEL_TRY(auto const hidden,
                 repository.objects().list(Repository::backup_object(system, label, Repository::kHidden)));
        if (hidden.empty()) KEEL_CHECK(repository.remove_backup(system, label));
    }
    return {};
}

std::vector<BackupFile> files_of(Backup const& backup) {
    std::vector<BackupFile> out = {{data_file(backup), backup.sha256, backup.stored_bytes},
                                   {kManifest, backup.manifest_sha256}};
    if (!backup.blocks_sha256.empty()) out.push_back({kList, {}});
    return out;
}

Result<std::string> missing_file(Repository const& repository, Backup const& backup) {
    auto const object = [&](std::string const& file) {
        return Repository::backup_object(backup.system_id, backup.label, file);
    };
    KEEL_TRY(auto const stored, repository.objects().list(object("")));
    for (auto const& one : files_of(backup))
        if (std::ranges::find(stored, object(one.name)) == stored.end()) return object(one.name);
    return std::string();
}

Status complete(Repository const& repository, Backup const& backup) {
    KEEL_TRY(auto const missing, missing_file(repository, backup));
    if (!missing.empty())
        return fail(Code::conflict, repository.objects().where(missing) + " was removed during the backup",
                    "find out who removes objects of the repository, and take the backup again");
    KEEL_CHECK(check_chain(repository, backup));
    return repository.objects().create(Repository::backup_object(backup.system_id, backup.label, "backup.json"),
                                       json::write(backup) + "\n");
}

Result<Backup> take_backup(BackupAsked const& asked, Repository const& repository, BackupProgress const& progress) {
    auto const& place = asked.place;
    KEEL_TRY(auto link, connect(place, "pgkeel backup"));
    KEEL_TRY(auto const server, look_at(link));
    if (server.version < kVersionLeast)
        return fail(Code::invalid, "backups need PostgreSQL 15 or newer", "take the backup with pg_basebackup");
    KEEL_CHECK(refuse_tablespaces(link));
    Backup out;
    out.kind = asked.kind;
    out.node = place.name;
    out.system_id = server.system;
    out.server_version = server.version;
    out.segment_bytes = server.origin.segment_bytes;
    out.begun_unix_ms = runtime::unix_ms_now();
    auto const lock_path = place.directory + "/state/backup.lock";
    KEEL_TRY(auto const lock, runtime::FileLock::take(lock_path));
    KEEL_CHECK(repository.claim(server.system, asked.cluster_id, place.directory + kSeenRepositories));
    KEEL_CHECK(remove_leftovers(repository, server.system, place.name));
    KEEL_TRY(out.label, free_label(repository, server.system, place.name));
    std::optional<Parent> parent;
    if (asked.kind == BackupKind::incremental) {
        KEEL_TRY(parent, find_parent(repository, server.system));
        out.chain = parent->backup.chain;
        out.chain.push_back(parent->backup.label);
    }
    Taking taking(repository, out, parent ? &*parent : nullptr);
    auto const done = [&]() -> Status {
        KEEL_CHECK(taking.stream(link, progress));
        KEEL_CHECK(taking.finish());
        out.ended_unix_ms = runtime::unix_ms_now();
        KEEL_CHECK(wait_for_wal(repository, out));
        return complete(repository, out);
    }();
    if (!done) {
        (void)repository.remove_backup(out.system_id, out.label);
        return fail(done.error());
    }
    return out;
}

Result<std::string> read_manifest(Repository const& repository, Backup const& backup) {
    auto const object = Repository::backup_object(backup.system_id, backup.label, kManifest);
    KEEL_TRY(auto text, repository.objects().get(object, kManifestMost));
    if (sha256_hex(text) != backup.manifest_sha256)
        return fail(Code::corrupt, repository.objects().where(object) + " is not what was stored",
                    "use another backup");
    return text;
}

Result<BlockList> read_blocklist(Repository const& repository, Backup const& backup) {
    auto const object = Repository::backup_object(backup.system_id, backup.label, kList);
    KEEL_TRY(auto const packed, repository.objects().get(object, kListMost));
    auto const text = decompress(packed, kListMost);
    if (!text || sha256_hex(*text) != backup.blocks_sha256)
        return fail(Code::corrupt, repository.objects().where(object) + " is not what was stored",
                    "use another backup");
    return BlockList::parse(*text, backup.chain.size());
}

Status read_data(Repository const& repository, Backup const& backup, Bytes const& sink,
                 BackupProgress const& progress) {
    auto const object = Repository::backup_object(backup.system_id, backup.label, data_file(backup));
    auto const where = repository.objects().where(object);
    Sha256 hash;
    std::uint64_t done = 0;
    Decompressor decompressor([&](std::string_view part) {
        done += part.size();
        return sink(part);
    });
    KEEL_CHECK(repository.objects().read(object, [&](std::string_view part) -> Status {
        hash.add(part);
        if (auto const status = decompressor.add(part); !status) return fail(Error(status.error()).in(where));
        progress(done, backup.bytes);
        return {};
    }));
    if (auto const status = decompressor.finish(); !status) return fail(Error(status.error()).in(where));
    if (hash.hex() != backup.sha256)
        return fail(Code::corrupt, where + " is not what was stored", "use another backup");
    return {};
}

}  // namespace keel::archive
