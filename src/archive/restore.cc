#include "archive/restore.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "postgres/conf.h"
#include "postgres/job.h"
#include "postgres/libpq.h"

namespace keel::archive {

namespace {

namespace fs = std::filesystem;
using postgres::Bound;

constexpr Duration kRecoveryMost = std::chrono::hours(24);
constexpr std::uint64_t kSegmentMost = 1U << 30U;

// A restored server is nobody's member: it must neither follow nor wait for the ones it was copied from.
constexpr char const* kAlone =
    "# Restored by pgkeel: this server stands alone.\n"
    "archive_mode = 'off'\nprimary_conninfo = ''\nprimary_slot_name = ''\nsynchronous_standby_names = ''\n"
    "shared_preload_libraries = ''\nssl = 'off'\nlisten_addresses = 'localhost'\nunix_socket_directories = '/tmp'\n"
    "recovery_min_apply_delay = '0'\n";

std::string recovery_settings(Plan const& plan, RestoreTo const& to) {
    std::string out = fmt::format("restore_command = {}\nrecovery_target_timeline = '{}'\n",
                                  postgres::quote_conf(to.fetch_command), plan.lineage.timeline.value);
    if (plan.target.lsn)
        out += fmt::format("recovery_target_lsn = '{}'\n", to_string(*plan.target.lsn));
    else
        out += fmt::format("recovery_target_time = '{}'\n", time_text(*plan.target.time_us));
    return out + "recovery_target_inclusive = 'on'\nrecovery_target_action = 'promote'\nhot_standby = 'off'\n";
}

class Files {
  public:
    explicit Files(std::string root) : root_(std::move(root)) {}
    Files(Files const&) = delete;
    Files& operator=(Files const&) = delete;
    ~Files() { close(); }

    TarReader::Sink sink() {
        return {[this](TarEntry const& one) { return begin(one); }, [this](std::string_view part) { return add(part); },
                [this] { return close(); }};
    }
    // All of them at once: they lie on one file system.
    Status sync() const {
        int const root = ::open(root_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        bool const good = root >= 0 && ::syncfs(root) == 0;
        int const why = errno;
        if (root >= 0) ::close(root);
        if (!good) return fail(runtime::system_error(why, root_));
        return {};
    }

  private:
    Status begin(TarEntry const& one) {
        path_ = root_ + "/" + one.path;
        if (one.kind == TarEntry::Kind::directory) return runtime::ensure_directory(path_, 0700);
        file_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (file_ < 0) return fail(runtime::system_error(errno, path_));
        return {};
    }
    Status add(std::string_view part) {
        while (!part.empty()) {
            auto const done = ::write(file_, part.data(), part.size());
            if (done < 0 && errno == EINTR) continue;
            if (done < 0) return fail(runtime::system_error(errno, path_));
            part.remove_prefix(static_cast<std::size_t>(done));
        }
        return {};
    }
    Status close() {
        int const file = std::exchange(file_, -1);
        if (file >= 0 && ::close(file) != 0) return fail(runtime::system_error(errno, path_));
        return {};
    }

    std::string root_, path_;
    int file_ = -1;
};

Status unpack(Repository const& repository, Plan const& plan, RestoreTo const& to, BackupProgress const& progress) {
    KEEL_TRY(auto const manifest, read_manifest(repository, plan.backup));
    Files files(to.directory);
    KEEL_CHECK(read_tar(repository, plan.backup, files.sink(), progress));
    KEEL_CHECK(runtime::write_atomically(to.directory + "/backup_manifest", manifest, 0600));
    // The WAL is checked when it is replayed.
    KEEL_CHECK(
        postgres::run_job({{to.binaries + "/pg_verifybackup", "--no-parse-wal", to.directory}}, Bound(kRecoveryMost)));
    return files.sync();
}

Error not_reached(RestoreTo const& to) {
    return {Code::unavailable,
            "the server did not reach the target: its last words are in " + to.directory + "/restore.log",
            "pgkeel backup verify says whether the repository is whole"};
}

// It lets nobody in before recovery has ended, and ends itself when it cannot reach the target (PostgreSQL 13 and up).
Status wait_for_end(RestoreTo const& to, std::string const& socket) {
    Bound const bound(kRecoveryMost);
    do {
        auto link = postgres::Connection::open({{"host", socket},
                                                {"port", "5432"},
                                                {"user", "postgres"},
                                                {"dbname", "postgres"},
                                                {"passfile", "/dev/null/none"}},
                                               Bound(10s));
        auto const recovering = link ? link->value("SELECT pg_is_in_recovery()", Bound(10s))
                                     : Result<std::string>(std::unexpected(link.error()));
        if (recovering && *recovering == "f") return {};
        if (!postgres::run_job({{to.binaries + "/pg_ctl", "-D", to.directory, "status"}}, Bound(60s)))
            return fail(not_reached(to));
    } while (bound.pause(200ms));
    return fail(bound.why("recovery"));
}

Status prove(RestoreTo const& to, std::string const& socket) {
    auto const control = to.binaries + "/pg_ctl";
    auto const options = fmt::format("-p 5432 -c unix_socket_directories={} -c listen_addresses=", socket);
    // pg_ctl counts a server in recovery as started.
    auto const started = postgres::run_job({{control, "-D", to.directory, "-w", "-t", "3600", "-l",
                                             to.directory + "/restore.log", "-o", options, "start"}},
                                           Bound(kRecoveryMost));
    auto const proof = started ? wait_for_end(to, socket) : Status(std::unexpected(not_reached(to)));
    auto const stopped = postgres::run_job(
        {{control, "-D", to.directory, "-w", "-t", "600", "-m", proof ? "fast" : "immediate", "stop"}}, Bound(660s));
    KEEL_CHECK(proof);
    KEEL_CHECK(stopped);
    return {};
}

}  // namespace

Result<Plan> find_plan(Repository const& repository, std::string const& system, Target const& target) {
    KEEL_TRY(auto const backups, repository.backups(system));
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

Status restore(Repository const& repository, Plan const& plan, RestoreTo const& to, BackupProgress const& progress) {
    KEEL_CHECK(check_empty(to.directory));
    KEEL_CHECK(runtime::ensure_directory(to.directory, 0700));
    KEEL_CHECK(unpack(repository, plan, to, progress));
    for (auto const* name : {"/standby.signal", "/recovery.signal"})
        KEEL_CHECK(runtime::remove_durably(to.directory + name));
    auto const settings = to.directory + "/postgresql.auto.conf";
    KEEL_TRY(auto const before, runtime::read_file(settings, 16U << 20U));
    KEEL_CHECK(runtime::write_atomically(settings, before + kAlone + recovery_settings(plan, to), 0600));
    KEEL_CHECK(runtime::write_atomically(to.directory + "/recovery.signal", "", 0600));
    // Paths of sockets are short, data directories need not be.
    char socket[] = "/tmp/pgkeel-restore-XXXXXX";
    if (::mkdtemp(socket) == nullptr) return fail(runtime::system_error(errno, socket));
    auto const proof = prove(to, socket);
    std::error_code ignored;
    fs::remove_all(socket, ignored);
    KEEL_CHECK(proof);
    return runtime::write_atomically(settings, before + kAlone, 0600);
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
