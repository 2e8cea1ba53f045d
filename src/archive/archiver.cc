#include "archive/archiver.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <optional>
#include <set>

#include "archive/repository.h"
#include "archive/wire.h"
#include "postgres/libpq.h"
#include "runtime/clock.h"
#include "runtime/log.h"

namespace keel::archive {

namespace {

namespace log = runtime::log;
using postgres::Bound;
using postgres::Connection;

constexpr Duration kAnswer = 10s;
constexpr Duration kStoreEvery = 200ms;
constexpr Duration kPinEvery = 2s;

// The beginning of the newest segment, on the repository's disk. A second archiver writes the same bytes, so nothing is
// ever cut off that was there.
class Tail {
  public:
    explicit Tail(std::string path) : path_(std::move(path)) {}
    Tail(Tail const&) = delete;
    Tail& operator=(Tail const&) = delete;
    ~Tail() {
        if (file_ >= 0) ::close(file_);
    }
    Status store(std::string_view bytes, std::size_t from) {
        if (file_ < 0) file_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
        if (file_ < 0) return fail(runtime::system_error(errno, path_));
        while (from < bytes.size()) {
            auto const done = ::pwrite(file_, bytes.data() + from, bytes.size() - from, static_cast<off_t>(from));
            if (done < 0 && errno == EINTR) continue;
            if (done < 0) return fail(runtime::system_error(errno, path_));
            from += static_cast<std::size_t>(done);
        }
        if (::fdatasync(file_) != 0) return fail(runtime::system_error(errno, path_));
        return {};
    }
    void remove() { ::unlink(path_.c_str()); }

  private:
    std::string path_;
    int file_ = -1;
};

class Stream {
  public:
    Stream(Connection& link, Repository const& repository, Server server)
        : link_(link), repository_(repository), server_(std::move(server)) {}

    // Until the connection breaks or the server is no primary any more.
    Status run() {
        KEEL_CHECK(store_histories());
        KEEL_TRY(auto const listing, repository_.list(server_.system, server_.origin.segment_bytes));
        if (listing.highest().timeline > server_.lineage.timeline)
            return fail(Code::conflict,
                        fmt::format("the repository knows timeline {}, this server is on {}",
                                    listing.highest().timeline.value, server_.lineage.timeline.value),
                        "a newer primary has taken over; this one archives nothing more");
        Lsn from = begin_at(listing);
        for (;;) {
            auto const owner = owner_of_segment(server_.lineage, from.value / server_.origin.segment_bytes,
                                                server_.origin.segment_bytes);
            KEEL_TRY(auto const next, follow(owner, from));
            from = next;
        }
    }

  private:
    std::uint64_t floor_of(Lsn lsn) const { return lsn.value - lsn.value % server_.origin.segment_bytes; }

    Status store_histories() {
        if (server_.lineage.timeline.value <= 1) return {};
        return repository_.put_wal(server_.system, postgres::history_name(server_.lineage.timeline),
                                   server_.history_text);
    }

    // Holes are tried first, each once: the server may still have what is missing.
    Lsn begin_at(Repository::Listing const& listing) {
        auto const ranges = ranges_of(listing.holdings(server_.origin.segment_bytes, server_.lineage), server_.lineage);
        Lsn out{floor_of(server_.flushed)};
        for (auto range = ranges.rbegin(); range != ranges.rend(); ++range) {
            Lsn const end{floor_of(range->to)};
            if (range->to <= server_.flushed && !refused().contains({server_.system, end})) out = end;
        }
        return out;
    }

    static std::set<std::pair<std::string, Lsn>>& refused() {
        static std::set<std::pair<std::string, Lsn>> all;
        return all;
    }

    // One timeline to its end; where the next one begins.
    Result<Lsn> follow(Timeline timeline, Lsn from) {
        log::info("archiver", "streams timeline {} from {}", timeline.value, to_string(from));
        begin_segment(timeline, from);
        auto started = link_.start_stream(
            fmt::format("START_REPLICATION SLOT {} PHYSICAL {} TIMELINE {}", kSlot, to_string(from), timeline.value),
            Bound(kAnswer));
        if (!started) return refuse(std::move(started.error()), from);
        bool any = false;
        for (;;) {
            auto message = link_.receive(Bound(kStoreEvery));
            if (!message) return any ? fail(std::move(message.error())) : refuse(std::move(message.error()), from);
            if (message->kind == postgres::Streamed::Kind::end) break;
            any = any || message->kind == postgres::Streamed::Kind::data;
            if (message->kind == postgres::Streamed::Kind::data) KEEL_CHECK(take(message->bytes));
            KEEL_CHECK(store_and_tell(message->kind == postgres::Streamed::Kind::nothing));
        }
        KEEL_CHECK(store_tail());
        return next_timeline(timeline);
    }

    Result<Lsn> next_timeline(Timeline timeline) {
        KEEL_TRY(auto const sets, link_.end_stream(Bound(kAnswer)));
        if (sets.empty() || sets[0].empty() || sets[0][0].size() < 2 || !sets[0][0][1])
            return fail(Code::unavailable, "the server has ended the stream");
        auto const fork = parse_lsn(*sets[0][0][1]);
        if (!fork) return fail(Code::corrupt, "the server names no switch point");
        log::info("archiver", "timeline {} ends at {}", timeline.value, to_string(*fork));
        return Lsn{floor_of(*fork)};
    }

    std::unexpected<Error> refuse(Error error, Lsn from) {
        if (error.code != Code::not_found) return fail(std::move(error));
        refused().insert({server_.system, from});
        log::error("archiver",
                   "PITR broken since LSN {}: the server has removed the WAL that is missing; take a new "
                   "full backup (pgkeel backup create)",
                   to_string(from));
        return fail(std::move(error));
    }

    void begin_segment(Timeline timeline, Lsn at) {
        id_ = {timeline, at.value / server_.origin.segment_bytes};
        name_ = postgres::segment_name(timeline, id_.number, server_.origin.segment_bytes);
        bytes_.clear();
        stored_ = 0;
        tail_.emplace(repository_.tail_path(server_.system) + "/" + name_);
    }
    Lsn here() const { return Lsn{id_.number * server_.origin.segment_bytes + bytes_.size()}; }
    Lsn safe() const { return Lsn{id_.number * server_.origin.segment_bytes + stored_}; }

    Status take(std::string_view message) {
        KEEL_TRY(auto const one, parse_stream_message(message));
        asked_ = asked_ || one.reply_wanted;
        if (one.wal.empty()) return {};
        if (one.start != here()) return fail(Code::corrupt, "the server's stream has a hole");
        auto rest = one.wal;
        while (!rest.empty()) {
            auto const part = rest.substr(0, server_.origin.segment_bytes - bytes_.size());
            bytes_ += part;
            rest.remove_prefix(part.size());
            if (bytes_.size() == server_.origin.segment_bytes) KEEL_CHECK(complete_segment());
        }
        return {};
    }

    Status complete_segment() {
        KEEL_CHECK(check_pages(server_.origin, id_, bytes_));
        KEEL_CHECK(repository_.put_wal(server_.system, name_, bytes_));
        tail_->remove();
        log::debug("archiver", "{} is stored", name_);
        begin_segment(id_.timeline, Lsn{(id_.number + 1) * server_.origin.segment_bytes});
        changed_ = true;
        return {};
    }

    Status store_tail() {
        if (stored_ == bytes_.size()) return {};
        if (stored_ == 0) KEEL_CHECK(check_pages(server_.origin, id_, bytes_));
        KEEL_CHECK(tail_->store(bytes_, stored_));
        stored_ = bytes_.size();
        changed_ = true;
        return {};
    }

    Status store_and_tell(bool idle) {
        auto const now = runtime::boot_now();
        if (!idle && !asked_ && now - told_ < kStoreEvery) return {};
        told_ = now;
        KEEL_CHECK(store_tail());
        // Nothing is told to be safe that is not: the slot would let go of it.
        if (!changed_ && !asked_ && now - answered_ < 1s) return {};
        asked_ = changed_ = false;
        answered_ = now;
        return link_.give(status_message(here(), safe(), runtime::unix_ms_now()), Bound(kAnswer));
    }

    Connection& link_;
    Repository const& repository_;
    Server server_;
    SegmentId id_;
    std::string name_;
    std::string bytes_;
    std::size_t stored_ = 0;
    std::optional<Tail> tail_;
    bool asked_ = false, changed_ = true;
    Instant told_, answered_;
};

Status ensure_slot(Connection& link) {
    KEEL_TRY(auto const rows, link.query("SELECT coalesce(wal_status = 'lost', false) FROM pg_replication_slots WHERE "
                                         "slot_name = $1",
                                         Bound(kAnswer), {kSlot}));
    if (!rows.empty() && rows[0][0] == "f") return {};
    if (!rows.empty()) {
        log::error("archiver", "WAL that is not archived was removed to save the disk (max_slot_wal_keep_size)");
        KEEL_CHECK(link.query("SELECT pg_drop_replication_slot($1)", Bound(kAnswer), {kSlot}));
    }
    KEEL_CHECK(link.query("SELECT pg_create_physical_replication_slot($1, true)", Bound(kAnswer), {kSlot}));
    return {};
}

// On a standby: it may have to fill what the primary could not archive any more.
Status pin(Connection& link, Repository const& repository) {
    for (;;) {
        KEEL_TRY(auto const server, look_at(link));
        if (!server.standby) return {};
        KEEL_TRY(auto const listing, repository.list(server.system, server.origin.segment_bytes));
        auto const ranges = ranges_of(listing.holdings(server.origin.segment_bytes, server.lineage), server.lineage);
        if (!ranges.empty()) {
            KEEL_CHECK(
                link.query("SELECT pg_replication_slot_advance($1, least($2::pg_lsn, "
                           "pg_last_wal_replay_lsn())) FROM pg_replication_slots WHERE slot_name = $1 AND "
                           "restart_lsn < least($2::pg_lsn, pg_last_wal_replay_lsn())",
                           Bound(kAnswer), {kSlot, to_string(ranges.front().to)}));
        }
        (void)Bound(kPinEvery).pause(kPinEvery);
    }
}

}  // namespace

Status archive_once(postgres::Place const& place, std::string const& path) {
    KEEL_TRY(auto const repository, Repository::open(path));
    KEEL_TRY(auto link, connect(place, "pgkeel archiver"));
    KEEL_TRY(auto server, look_at(link));
    KEEL_CHECK(runtime::ensure_directory(repository.tail_path(server.system), 0750));
    KEEL_CHECK(runtime::ensure_directory(repository.wal_path(server.system), 0750));
    KEEL_CHECK(ensure_slot(link));
    if (server.standby) return pin(link, repository);
    return Stream(link, repository, std::move(server)).run();
}

}  // namespace keel::archive
