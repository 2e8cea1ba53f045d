// verify_backup() of base_backup.h.
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "archive/base_backup.h"
#include "archive/manifest.h"

namespace keel::archive {

namespace {

// The backup's WAL of one segment; of the last one of an idle server there is only the beginning.
Status verify_segment(Repository const& repository, Backup const& backup, SegmentId const& id) {
    auto const size = backup.segment_bytes;
    auto const name = postgres::segment_name(id.timeline, id.number, size);
    auto bytes = repository.get_wal(backup.system_id, name, size);
    if (!bytes && bytes.error().code == Code::not_found) bytes = repository.get_tail(backup.system_id, name, size);
    KEEL_CHECK(bytes);
    auto const needed = std::min(size, backup.end.value - id.number * size);
    if (bytes->size() < needed)
        return fail(Code::not_found, fmt::format("{} is not in the repository up to {}", name, to_string(backup.end)));
    return check_pages({std::strtoull(backup.system_id.c_str(), nullptr, 10), size}, id, *bytes);
}

Status verify_wal(Repository const& repository, Backup const& backup) {
    auto const size = backup.segment_bytes;
    KEEL_TRY(auto const listing, repository.list(backup.system_id, size));
    for (auto number = backup.start.value / size; number * size < backup.end.value; ++number) {
        Status done = fail(Code::not_found, "");
        for (auto const timeline : timelines_of(backup, listing.lineages, number)) {
            done = verify_segment(repository, backup, {timeline, number});
            if (done || done.error().code != Code::not_found) break;
        }
        KEEL_CHECK(done);
    }
    return {};
}

// A full backup: the tar as the server's manifest has it, and its blocks as the list has them, for others are built on
// them.
Status verify_full(Repository const& repository, Backup const& backup, BackupProgress const& progress) {
    KEEL_TRY(auto const text, read_manifest(repository, backup));
    KEEL_TRY(auto missing, parse_manifest(text));
    TarEntry entry;
    std::unique_ptr<Sha256> hash;
    TarReader::Sink sink;
    sink.begin = [&](TarEntry const& one) -> Status {
        entry = one;
        hash = std::make_unique<Sha256>();
        return {};
    };
    sink.data = [&](std::string_view part) -> Status {
        hash->add(part);
        return {};
    };
    sink.end = [&]() -> Status {
        auto const file = missing.find(entry.path);
        if (entry.kind != TarEntry::Kind::file || file == missing.end()) return {};
        bool const good =
            file->second.size == entry.size && (file->second.sha256.empty() || file->second.sha256 == hash->hex());
        if (!good) return fail(Code::corrupt, entry.path + " in the backup is not what the manifest says");
        missing.erase(file);
        return {};
    };
    TarReader reader(std::move(sink));
    BlockTaker blocks(nullptr, 0, [](std::string_view) { return Status(); });
    KEEL_CHECK(read_data(
        repository, backup,
        [&](std::string_view part) -> Status {
            KEEL_CHECK(reader.feed(part));
            return blocks.feed(part);
        },
        progress));
    if (!reader.complete()) return fail(Code::corrupt, "the backup's tar is cut off");
    if (!missing.empty()) return fail(Code::corrupt, missing.begin()->first + " is missing in the backup");
    if (backup.blocks_sha256.empty()) return {};
    KEEL_TRY(auto const list, read_blocklist(repository, backup));
    if (list.text() == blocks.list().text()) return {};
    return fail(Code::corrupt, "the list of the backup's blocks is not of its files");
}

// That each backup of the chain stores, by its list, what is taken from it.
Status verify_links(Repository const& repository, Backup const& backup, BlockList const& list) {
    KEEL_TRY(auto const all, repository.backups(backup.system_id));
    for (std::uint32_t source = 1; source <= backup.chain.size(); ++source) {
        auto const& label = backup.chain[source - 1];
        auto const link = std::ranges::find(all, label, &Backup::label);
        if (link == all.end())
            return fail(Code::corrupt, "the backup " + label + ", which it is built on, is not there");
        KEEL_TRY(auto const theirs, read_blocklist(repository, *link));
        for (auto const& file : list.files()) {
            auto const* other = theirs.find(file.path);
            for (std::uint64_t block = 0; block < file.blocks(); ++block) {
                if (file.source(block) != source) continue;
                if (other == nullptr || other->hash(block) != file.hash(block) || other->source(block) != 0)
                    return fail(Code::corrupt, fmt::format("{} is built on {}, which does not have {} as it was",
                                                           backup.label, label, file.path));
            }
        }
    }
    return {};
}

Status verify_incremental(Repository const& repository, Backup const& backup, BackupProgress const& progress) {
    KEEL_TRY(auto const text, read_manifest(repository, backup));
    KEEL_TRY(auto const files, parse_manifest(text));
    KEEL_TRY(auto const list, read_blocklist(repository, backup));
    for (auto const& [path, file] : files) {
        auto const* own = list.find(path);
        if (own == nullptr || own->size != file.size) return fail(Code::corrupt, path + " is missing in the backup");
    }
    BlockSplitter blocks(list, [](BlockFile const& file, std::uint64_t block, std::string_view bytes) -> Status {
        if (sha256_hex(bytes) == file.hash(block)) return {};
        return fail(Code::corrupt, file.path + " in the backup is not what its list says");
    });
    KEEL_CHECK(read_data(repository, backup, [&](std::string_view part) { return blocks.feed(part); }, progress));
    if (!blocks.complete()) return fail(Code::corrupt, "blocks are missing in the backup");
    return verify_links(repository, backup, list);
}

Status verify_stored(Repository const& repository, Backup const& backup, BackupProgress const& progress) {
    bool const full = backup.kind == BackupKind::full;
    KEEL_CHECK(full ? verify_full(repository, backup, progress) : verify_incremental(repository, backup, progress));
    return verify_wal(repository, backup);
}

}  // namespace

Status verify_backup(Repository const& repository, Backup const& backup, BackupProgress const& progress) {
    auto status = verify_stored(repository, backup, progress);
    if (status || status.error().code != Code::not_found) return status;
    auto const description = Repository::backup_object(backup.system_id, backup.label, "backup.json");
    KEEL_TRY(auto const there, repository.objects().list(description));
    if (std::ranges::find(there, description) == there.end())
        return fail(Code::not_found, backup.label + " has expired meanwhile", "pgkeel backup list");
    status.error().code = Code::corrupt;
    return status;
}

}  // namespace keel::archive
