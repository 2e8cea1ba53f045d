#include "archive/logical.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <map>
#include <thread>

#include "archive/packed.h"
#include "archive/wire.h"
#include "postgres/copy.h"
#include "postgres/job.h"
#include "postgres/setup.h"
#include "runtime/clock.h"
#include "runtime/files.h"

namespace keel::archive {

namespace {

using postgres::Bound;

constexpr std::size_t kSmall = 1U << 20U;
constexpr std::size_t kPart = 256U << 10U;
constexpr Duration kAnswer = 10s;

// A named pipe that one program writes into.
class Fifo {
  public:
    Fifo() = default;
    Fifo(Fifo const&) = delete;
    Fifo& operator=(Fifo const&) = delete;
    ~Fifo() {
        close();
        std::error_code ignored;
        if (!directory_.empty()) std::filesystem::remove_all(directory_, ignored);
    }
    Status open() {
        char name[] = "/tmp/pgkeel-dump-XXXXXX";
        if (::mkdtemp(name) == nullptr) return fail(runtime::system_error(errno, name));
        directory_ = name;
        if (::mkfifo(path().c_str(), 0600) != 0) return fail(runtime::system_error(errno, path()));
        // Does not wait for the one who writes.
        file_ = ::open(path().c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        if (file_ < 0) return fail(runtime::system_error(errno, path()));
        return {};
    }
    std::string path() const { return directory_ + "/pipe"; }
    // Who writes on gets an error.
    void close() {
        if (file_ >= 0) ::close(std::exchange(file_, -1));
    }
    // Until nobody writes any more, and nobody will.
    Status read(std::atomic<bool> const& ended, Bytes const& sink) const {
        std::string part(kPart, '\0');
        for (;;) {
            bool const over = ended;  // before the pipe is found empty
            auto const got = ::read(file_, part.data(), part.size());
            if (got > 0) {
                KEEL_CHECK(sink(std::string_view(part).substr(0, static_cast<std::size_t>(got))));
            } else if (got < 0 && errno != EAGAIN && errno != EINTR) {
                return fail(runtime::system_error(errno, path()));
            } else if (over) {
                return {};
            } else if (got == 0) {
                (void)Bound(kAnswer).pause(5ms);  // not opened yet, or just closed
            } else {
                pollfd one{file_, POLLIN, 0};
                (void)::poll(&one, 1, 100);
            }
        }
    }

  private:
    std::string directory_;
    int file_ = -1;
};

Status dump_into(postgres::Place const& place, std::string const& database, PackedUpload& upload, Bound const& bound) {
    auto const link = postgres::local_conninfo(place, "pgkeel dump", database);
    Fifo fifo;
    KEEL_CHECK(fifo.open());
    std::atomic<bool> ended = false;
    Status dumped;
    std::thread program([&] {
        // What is compressed here need not be compressed there.
        auto const done =
            postgres::run_job({{place.binary("pg_dump"), "--format=custom", "--compress=0", "--no-password",
                                "--no-sync", "--file=" + fifo.path(), "--dbname=" + postgres::to_string(link)}},
                              bound);
        if (!done) dumped = fail(Error(done.error()).in("the dump of " + database));
        ended = true;
    });
    auto const stored = fifo.read(ended, [&](std::string_view part) { return upload.add(part); });
    fifo.close();
    program.join();
    KEEL_CHECK(stored);
    KEEL_CHECK(dumped);
    return upload.finish();
}

// "20261126T030000Z-anna-5f3a": a backup's with an end of one length.
bool is_dump_of(std::string_view label, std::string_view node) {
    constexpr std::size_t kEnd = 5;
    return label.size() > kEnd && label[label.size() - kEnd] == '-' &&
           is_label_of(label.substr(0, label.size() - kEnd), node);
}

// What a dump of this node that was killed had stored.
Status remove_leftovers(Repository const& repository, std::string const& system, std::string const& node) {
    KEEL_TRY(auto const labels, repository.objects().folders(system + "/dump/"));
    KEEL_TRY(auto const whole, dumps_of(repository, system));
    for (auto const& label : labels)
        if (is_dump_of(label, node) && std::ranges::find(whole, label, &Dump::label) == whole.end())
            KEEL_CHECK(repository.objects().remove_all(system + "/dump/" + label + "/"));
    return {};
}

}  // namespace

Result<std::vector<Dump>> dumps_of(Repository const& repository, std::string const& system) {
    KEEL_TRY(auto const names, repository.objects().list(system + "/dump/"));
    std::vector<Dump> out;
    for (auto const& name : names) {
        if (!name.ends_with("/dump.json")) continue;
        auto const text = repository.objects().get(name, kSmall);
        if (!text && text.error().code == Code::not_found) continue;  // has just expired
        KEEL_CHECK(text);
        auto one = json::read<Dump>(*text);
        if (!one || one->label.empty() || name != Repository::dump_object(system, one->label, "dump.json"))
            return fail(Code::corrupt, repository.objects().where(name) + " describes no dump", "remove it");
        out.push_back(*std::move(one));
    }
    std::ranges::sort(out, {}, &Dump::begun_unix_ms);
    return out;
}

Result<std::vector<std::string>> databases_of(postgres::Place const& place) {
    KEEL_TRY(auto link,
             postgres::Connection::open(postgres::local_conninfo(place, "pgkeel dump", "postgres"), Bound(kAnswer)));
    KEEL_TRY(auto const rows, link.query("SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate "
                                         "ORDER BY datname",
                                         Bound(kAnswer)));
    std::vector<std::string> out;
    for (auto const& row : rows) out.push_back(row.at(0).value_or(""));
    return out;
}

Result<Dump> take_dump(postgres::Place const& place, std::string const& cluster_id, Repository const& repository,
                       std::string const& database, Bound const& bound) {
    KEEL_TRY(auto const databases, databases_of(place));
    if (std::ranges::find(databases, database) == databases.end())
        return fail(Code::not_found, "there is no database " + database,
                    fmt::format("the databases are {}", fmt::join(databases, ", ")));
    KEEL_TRY(auto link, connect(place, "pgkeel dump"));
    KEEL_TRY(auto const server, look_at(link));
    link.close();
    KEEL_TRY(auto const lock, runtime::FileLock::take(place.directory + "/state/dump.lock"));
    KEEL_CHECK(repository.claim(server.system, cluster_id, place.directory + kSeenRepositories));
    KEEL_CHECK(remove_leftovers(repository, server.system, place.name));
    Dump out;
    out.label = fmt::format("{}-{}-{}", postgres::utc_stamp(), place.name, runtime::random_hex(2));
    out.node = place.name;
    out.system_id = server.system;
    out.database = database;
    out.server_version = server.version;
    out.begun_unix_ms = runtime::unix_ms_now();
    auto const done = [&]() -> Status {
        KEEL_TRY(auto const upload,
                 repository.objects().upload(Repository::dump_object(out.system_id, out.label, "dump.zst"), 0));
        PackedUpload packed(*upload);
        KEEL_CHECK(dump_into(place, database, packed, bound));
        out.bytes = packed.bytes();
        out.stored_bytes = packed.stored();
        out.sha256 = packed.hash();
        out.ended_unix_ms = runtime::unix_ms_now();
        return repository.objects().create(Repository::dump_object(out.system_id, out.label, "dump.json"),
                                           json::write(out) + "\n");
    }();
    if (!done) {
        (void)remove_dump(repository, out);
        return fail(done.error());
    }
    return out;
}

Status fetch_dump(Repository const& repository, Dump const& dump, std::string const& path) {
    int const file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (file < 0) return fail(runtime::system_error(errno, path));
    auto const object = Repository::dump_object(dump.system_id, dump.label, "dump.zst");
    auto const where = repository.objects().where(object);
    auto const write = [&](std::string_view part) -> Status {
        while (!part.empty()) {
            auto const done = ::write(file, part.data(), part.size());
            if (done < 0 && errno == EINTR) continue;
            if (done < 0) return fail(runtime::system_error(errno, path));
            part.remove_prefix(static_cast<std::size_t>(done));
        }
        return {};
    };
    Sha256 hash;
    Decompressor decompressor(write);
    auto status = [&]() -> Status {
        KEEL_CHECK(repository.objects().read(object, [&](std::string_view part) -> Status {
            hash.add(part);
            return decompressor.add(part);
        }));
        KEEL_CHECK(decompressor.finish());
        if (hash.hex() != dump.sha256) return fail(Code::corrupt, "it is not what was stored", "use another dump");
        if (::fsync(file) != 0) return fail(runtime::system_error(errno, path));
        return {};
    }();
    ::close(file);
    if (status) return {};
    (void)::unlink(path.c_str());
    return fail(std::move(status.error()).in(where));
}

std::vector<Dump> old_dumps(std::vector<Dump> const& all, std::uint32_t days, std::int64_t now_unix_ms) {
    std::map<std::string, std::string> newest;  // by database
    for (auto const& one : all) newest[one.database] = one.label;
    auto const first = now_unix_ms - std::int64_t{days} * 86'400'000;
    std::vector<Dump> out;
    for (auto const& one : all)
        if (one.begun_unix_ms < first && newest[one.database] != one.label) out.push_back(one);
    return out;
}

// Its description first, so that nobody begins to read one that goes.
Status remove_dump(Repository const& repository, Dump const& dump) {
    KEEL_CHECK(repository.objects().remove(Repository::dump_object(dump.system_id, dump.label, "dump.json")));
    return repository.objects().remove_all(fmt::format("{}/dump/{}/", dump.system_id, dump.label));
}

}  // namespace keel::archive
