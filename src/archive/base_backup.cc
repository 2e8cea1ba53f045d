#include "archive/base_backup.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <memory>

#include "archive/bytes.h"
#include "archive/manifest.h"
#include "archive/wire.h"
#include "postgres/copy.h"
#include "runtime/clock.h"

namespace keel::archive {

namespace {

namespace fs = std::filesystem;
using postgres::Bound;

constexpr Duration kSilenceMost = 600s;  // the checkpoint at the beginning may take long
constexpr Duration kWalWithin = 60s;
constexpr int kVersionLeast = 150000;
constexpr std::size_t kManifestMost = 256U << 20U;

// What is stored of the tar: compressed, hashed, synced.
class TarFile {
  public:
    explicit TarFile(std::string const& path)
        : path_(path),
          file_(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640)),
          compressor_([this](std::string_view part) { return write(part); }) {}
    TarFile(TarFile const&) = delete;
    TarFile& operator=(TarFile const&) = delete;
    ~TarFile() {
        if (file_ >= 0) ::close(file_);
    }
    Status add(std::string_view bytes) {
        if (file_ < 0) return fail(runtime::system_error(errno, path_));
        bytes_ += bytes.size();
        return compressor_.add(bytes);
    }
    Status finish() {
        KEEL_CHECK(compressor_.finish());
        if (::fsync(file_) != 0) return fail(runtime::system_error(errno, path_));
        return {};
    }
    std::uint64_t bytes() const { return bytes_; }
    std::uint64_t stored() const { return stored_; }
    std::string hash() { return hash_.hex(); }

  private:
    Status write(std::string_view part) {
        hash_.add(part);
        stored_ += part.size();
        while (!part.empty()) {
            auto const done = ::write(file_, part.data(), part.size());
            if (done < 0 && errno == EINTR) continue;
            if (done < 0) return fail(runtime::system_error(errno, path_));
            part.remove_prefix(static_cast<std::size_t>(done));
        }
        return {};
    }

    std::string path_;
    int file_;
    std::uint64_t bytes_ = 0, stored_ = 0;
    Sha256 hash_;
    Compressor compressor_;
};

Result<std::pair<Lsn, Timeline>> position_of(std::vector<postgres::Rows> const& sets, std::size_t which) {
    if (sets.size() > which && !sets[which].empty() && sets[which][0].size() >= 2 && sets[which][0][0]) {
        auto const lsn = parse_lsn(*sets[which][0][0]);
        auto const number = std::strtoul(sets[which][0][1].value_or("0").c_str(), nullptr, 10);
        if (lsn && number > 0) return std::pair(*lsn, Timeline{static_cast<std::uint32_t>(number)});
    }
    return fail(Code::corrupt, "PostgreSQL does not say where the backup begins or ends");
}

// Messages: n(ew archive), m(anifest), d(ata), p(rogress).
Status take_message(std::string_view message, bool& in_manifest, TarFile& tar, std::string& manifest) {
    if (message.empty()) return fail(Code::corrupt, "PostgreSQL sent an empty message");
    auto const body = message.substr(1);
    if (message[0] == 'm') in_manifest = true;
    if (message[0] != 'd') return {};
    if (!in_manifest) return tar.add(body);
    manifest += body;
    if (manifest.size() <= kManifestMost) return {};
    return fail(Code::exhausted, "the backup's manifest is too long");
}

Status stream_into(postgres::Connection& link, std::string const& directory, Backup& out,
                   BackupProgress const& progress) {
    KEEL_TRY(auto const before, link.start_stream(fmt::format("BASE_BACKUP (LABEL '{}', CHECKPOINT 'fast', PROGRESS, "
                                                              "MANIFEST 'yes', MANIFEST_CHECKSUMS 'SHA256')",
                                                              out.label),
                                                  Bound(kSilenceMost)));
    KEEL_TRY(auto const begin, position_of(before, 0));
    std::tie(out.start, out.timeline) = begin;
    std::uint64_t total = 0;
    if (before.size() > 1 && !before[1].empty() && before[1][0].size() > 2)
        total = std::strtoull(before[1][0][2].value_or("0").c_str(), nullptr, 10) * 1024;
    TarFile tar(directory + "/base.tar.zst");
    std::string manifest;
    bool in_manifest = false;
    for (;;) {
        KEEL_TRY(auto const message, link.receive(Bound(kSilenceMost)));
        if (message.kind == postgres::Streamed::Kind::nothing)
            return fail(Code::timeout, "the server sends nothing any more");
        if (message.kind == postgres::Streamed::Kind::end) break;
        KEEL_CHECK(take_message(message.bytes, in_manifest, tar, manifest));
        progress(tar.bytes(), total);
    }
    KEEL_CHECK(tar.finish());
    KEEL_TRY(auto const behind, link.end_stream(Bound(kSilenceMost)));
    KEEL_TRY(auto const end, position_of(behind, 0));
    out.end = end.first;
    KEEL_CHECK(runtime::write_atomically(directory + "/backup_manifest", manifest, 0640));
    KEEL_CHECK(parse_manifest(manifest));
    out.bytes = tar.bytes();
    out.stored_bytes = tar.stored();
    out.sha256 = tar.hash();
    out.manifest_sha256 = sha256_hex(manifest);
    return {};
}

// Some range has all of it.
Status wait_for_wal(Repository const& repository, Backup const& backup) {
    Bound const bound(kWalWithin);
    do {
        KEEL_TRY(auto const listing, repository.list(backup.system_id, backup.segment_bytes));
        auto const lineage = listing.newest();
        for (auto const& range : ranges_of(listing.holdings(backup.segment_bytes, lineage), lineage)) {
            if (range.from <= backup.start && backup.end <= range.to) return {};
        }
    } while (bound.pause(200ms));
    return fail(
        Code::timeout,
        fmt::format("the WAL from {} to {} is not in the repository, and without it the backup is worth nothing",
                    to_string(backup.start), to_string(backup.end)),
        "is the archiver of the primary at work? Its node's log says why not");
}

// One that was killed leaves its directory; this node takes one at a time.
void remove_leftovers(Repository const& repository, std::string const& system, std::string const& node) {
    std::error_code error;
    for (fs::directory_iterator each(repository.backup_path(system), error); !error && each != fs::directory_iterator();
         each.increment(error)) {
        if (each->path().filename().string().ends_with("-" + node + ".new")) fs::remove_all(each->path(), error);
    }
}

Status refuse_tablespaces(postgres::Connection& link) {
    KEEL_TRY(auto const count, link.value("SELECT count(*) FROM pg_tablespace WHERE spcname !~ '^pg_'", Bound(10s)));
    if (count == "0") return {};
    return fail(Code::invalid, "this database cluster has tablespaces, which backups do not cover",
                "take the backup with pg_basebackup, or move the tables into the default tablespace");
}

}  // namespace

Result<Backup> take_backup(postgres::Place const& place, Repository const& repository, BackupProgress const& progress) {
    KEEL_TRY(auto link, connect(place, "pgkeel backup"));
    KEEL_TRY(auto const server, look_at(link));
    if (server.version < kVersionLeast)
        return fail(Code::invalid, "backups need PostgreSQL 15 or newer", "take the backup with pg_basebackup");
    KEEL_CHECK(refuse_tablespaces(link));
    Backup out;
    out.label = postgres::utc_stamp() + "-" + place.name;
    out.node = place.name;
    out.system_id = server.system;
    out.server_version = server.version;
    out.segment_bytes = server.origin.segment_bytes;
    out.begun_unix_ms = runtime::unix_ms_now();
    auto const all = repository.backup_path(server.system);
    auto const lock_path = place.directory + "/state/backup.lock";
    KEEL_TRY(auto const lock, runtime::FileLock::take(lock_path));
    KEEL_CHECK(runtime::ensure_directory(all, 0750));
    remove_leftovers(repository, server.system, place.name);
    auto const final_path = repository.backup_path(server.system, out.label);
    auto const fresh = final_path + ".new";
    KEEL_CHECK(runtime::ensure_directory(fresh, 0750));
    auto const done = [&]() -> Status {
        KEEL_CHECK(stream_into(link, fresh, out, progress));
        out.ended_unix_ms = runtime::unix_ms_now();
        KEEL_CHECK(wait_for_wal(repository, out));
        KEEL_CHECK(runtime::write_atomically(fresh + "/backup.json", json::write(out) + "\n", 0640));
        // rename() refuses a directory that is there and not empty.
        if (::rename(fresh.c_str(), final_path.c_str()) != 0) return fail(runtime::system_error(errno, final_path));
        return runtime::fsync_directory(all);
    }();
    if (!done) {
        std::error_code ignored;
        fs::remove_all(fresh, ignored);
        return fail(done.error());
    }
    return out;
}

Result<std::string> read_manifest(Repository const& repository, Backup const& backup) {
    auto const path = repository.backup_path(backup.system_id, backup.label) + "/backup_manifest";
    KEEL_TRY(auto text, runtime::read_file(path, kManifestMost));
    if (sha256_hex(text) != backup.manifest_sha256)
        return fail(Code::corrupt, path + " is not what was stored", "use another backup");
    return text;
}

Status read_tar(Repository const& repository, Backup const& backup, TarReader::Sink sink,
                BackupProgress const& progress) {
    auto const path = repository.backup_path(backup.system_id, backup.label) + "/base.tar.zst";
    int const file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) return fail(runtime::system_error(errno, path));
    std::unique_ptr<int const, decltype([](int const* one) { ::close(*one); })> const owner(&file);
    Sha256 hash;
    TarReader reader(std::move(sink));
    std::uint64_t done = 0;
    Decompressor decompressor([&](std::string_view part) {
        done += part.size();
        return reader.feed(part);
    });
    std::string room(1U << 20U, '\0');
    for (;;) {
        auto const size = ::read(file, room.data(), room.size());
        if (size < 0 && errno == EINTR) continue;
        if (size < 0) return fail(runtime::system_error(errno, path));
        if (size == 0) break;
        std::string_view const part(room.data(), static_cast<std::size_t>(size));
        hash.add(part);
        if (auto const status = decompressor.add(part); !status) return fail(Error(status.error()).in(path));
        progress(done, backup.bytes);
    }
    KEEL_CHECK(decompressor.finish());
    if (hash.hex() != backup.sha256 || !reader.complete())
        return fail(Code::corrupt, path + " is not what was stored", "use another backup");
    return {};
}

Status verify_backup(Repository const& repository, Backup const& backup, BackupProgress const& progress) {
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
    KEEL_CHECK(read_tar(repository, backup, std::move(sink), progress));
    if (!missing.empty()) return fail(Code::corrupt, missing.begin()->first + " is missing in the backup");
    auto const size = backup.segment_bytes;
    for (auto number = backup.start.value / size; number * size < backup.end.value; ++number) {
        auto const name = postgres::segment_name(backup.timeline, number, size);
        auto bytes = repository.get_wal(backup.system_id, name, size);
        if (!bytes && bytes.error().code == Code::not_found)  // the last, of an idle server
            bytes = repository.get_tail(backup.system_id, name, size);
        KEEL_CHECK(bytes);
        KEEL_CHECK(check_pages({std::strtoull(backup.system_id.c_str(), nullptr, 10), size}, {backup.timeline, number},
                               *bytes));
    }
    return {};
}

}  // namespace keel::archive
