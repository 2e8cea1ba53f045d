#include "archive/archiver.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "archive/repository.h"
#include "archive/segment_store.h"
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
constexpr Duration kRetry = 3s;    // beyond that from the beginning
constexpr Duration kWait = 200ms;  // between two signs of life to the server, at most
constexpr int kTailPiecesMost = 64;
constexpr std::uint64_t kLostKept = 64;  // segments

class Stream {
  public:
    Stream(Connection& link, Repository const& repository, config::RepositorySettings const& settings, Server server)
        : link_(link),
          repository_(repository),
          server_(std::move(server)),
          store_(settings, kRetry, server_.system, server_.origin) {}

    // While the repository is waited for. A server that is being stopped waits for who follows it, and must not wait
    // for a repository that hangs: so nobody follows it while it does.
    void wait(Duration silent) {
        if (!link_.is_open()) return;
        auto const now = runtime::boot_now();
        if (silent > repository_.pace().hangs) {
            log::warning("archiver", "the repository does not answer; the server is let go of meanwhile");
            link_.close();
        } else if (streams_ && now - answered_ > 1s) {
            answered_ = now;
            if (!link_.give(status_message(here(), safe_, runtime::unix_ms_now()), Bound(1s))) link_.close();
        }
    }

    // Until the connection breaks or the server is no primary any more.
    Status run() {
        KEEL_CHECK(store_histories());
        KEEL_TRY(auto const listing, repository_.list(server_.system, server_.origin.segment_bytes));
        if (listing.highest().timeline > server_.lineage.timeline)
            return fail(Code::conflict,
                        fmt::format("the repository knows timeline {}, this server is on {}",
                                    listing.highest().timeline.value, server_.lineage.timeline.value),
                        "a newer primary has taken over; this one archives nothing more");
        old_tails_ = listing.tails;
        KEEL_CHECK(remove_old_tails(listing.segments));
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

    // A beginning of a segment is of no use once the lineage has the whole of it. What a former primary wrote beyond
    // the end of its timeline is nobody's history; it stays for a while, for somebody who looks for what was lost.
    Status remove_old_tails(std::set<SegmentId> const& complete) {
        auto const size = server_.origin.segment_bytes;
        std::erase_if(old_tails_, [](auto const& one) { return one.second == 0; });
        for (auto& [id, bytes] : old_tails_) {
            SegmentId const whole{owner_of_segment(server_.lineage, id.number, size), id.number};
            SegmentId const later{owner_of_segment(server_.lineage, id.number + kLostKept, size),
                                  id.number + kLostKept};
            auto const fork = end_of(id.timeline);
            if (!fork) continue;
            bool const lost = id.number * size + bytes > fork->value;
            if (!complete.contains(lost ? later : whole)) continue;
            KEEL_CHECK(repository_.remove_tail(server_.system, postgres::segment_name(id.timeline, id.number, size)));
            bytes = 0;
        }
        return {};
    }

    // Where this server's history leaves a timeline; nothing when it never was on it.
    std::optional<Lsn> end_of(Timeline timeline) const {
        if (timeline == server_.lineage.timeline) return Lsn{~std::uint64_t{0}};
        for (auto const& one : server_.lineage.history)
            if (one.timeline == timeline) return one.until;
        return std::nullopt;
    }

    // Holes are tried first, each once: the server may still have what is missing.
    Lsn begin_at(Repository::Listing const& listing) {
        auto const ranges = ranges_of(listing.holdings(server_.origin.segment_bytes, server_.lineage), server_.lineage);
        Lsn out{floor_of(server_.flushed)};
        for (auto range = ranges.rbegin(); range != ranges.rend(); ++range) {
            Lsn const end{floor_of(range->to)};
            if (range->to <= server_.flushed && !refused().contains({server_.system, end})) out = end;
        }
        if (!ranges.empty()) return out;
        // Nothing is complete yet but what a former primary has begun.
        for (auto const& [id, bytes] : listing.tails) {
            Lsn const start{id.number * server_.origin.segment_bytes};
            auto const fork = end_of(id.timeline);
            if (fork && start < *fork && !refused().contains({server_.system, start})) out = std::min(out, start);
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
        safe_ = from;
        auto started = link_.start_stream(
            fmt::format("START_REPLICATION SLOT {} PHYSICAL {} TIMELINE {}", kSlot, to_string(from), timeline.value),
            Bound(kAnswer));
        if (!started) return refuse(std::move(started.error()), from);
        streams_ = true;
        bool any = false;
        for (;;) {
            auto message = link_.receive(Bound(repository_.pace().store));
            if (!message) return any ? fail(std::move(message.error())) : refuse(std::move(message.error()), from);
            if (message->kind == postgres::Streamed::Kind::end) break;
            any = any || message->kind == postgres::Streamed::Kind::data;
            if (message->kind == postgres::Streamed::Kind::data) KEEL_CHECK(take(message->bytes));
            KEEL_CHECK(store_and_tell(message->kind == postgres::Streamed::Kind::nothing));
            wait(store_.silent());
        }
        streams_ = false;
        while (!store_.is_idle()) KEEL_CHECK(wait_for_store());
        KEEL_CHECK(take_stored());
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
        if (end_of(timeline) != fork)
            return fail(Code::unavailable, "the server's history is not the one it told before: from the beginning");
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
        bytes_ = store_.spare();
        bytes_.reserve(server_.origin.segment_bytes);
        stored_ = 0;
        pieces_ = 0;
    }
    Lsn here() const { return Lsn{id_.number * server_.origin.segment_bytes + bytes_.size()}; }

    Status take(std::string_view message) {
        KEEL_TRY(auto const one, parse_stream_message(message));
        asked_ = asked_ || one.reply_wanted;
        if (one.wal.empty()) return {};
        if (one.start != here()) return fail(Code::corrupt, "the server's stream has a hole");
        server_end_ = one.server_end;
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
        while (!store_.has_room()) KEEL_CHECK(wait_for_store());
        bool const has_tail = stored_ > 0 || old_tails_.contains(id_);
        store_.add({id_, std::move(bytes_), has_tail});
        begin_segment(id_.timeline, Lsn{(id_.number + 1) * server_.origin.segment_bytes});
        return {};
    }

    Status wait_for_store() {
        store_.wait(kWait);
        wait(store_.silent());
        if (!link_.is_open()) return fail(Code::unavailable, "the repository does not answer");
        return take_stored();
    }

    // So far, and no farther, the server may let go of its WAL.
    Status take_stored() {
        KEEL_TRY(auto const done, store_.take_stored());
        for (auto const& id : done) {
            auto const size = server_.origin.segment_bytes;
            log::debug("archiver", "{} is stored", postgres::segment_name(id.timeline, id.number, size));
            KEEL_CHECK(remove_old_tails({id}));
            safe_ = Lsn{(id.number + 1) * size};
            changed_ = true;
        }
        return {};
    }

    // Behind all complete ones, or there would be a hole before it.
    Status store_tail() {
        if (stored_ == bytes_.size() || !store_.is_idle()) return {};
        KEEL_CHECK(take_stored());
        if (stored_ == 0) KEEL_CHECK(check_pages(server_.origin, id_, bytes_));
        // Now and then as one again.
        pieces_ = pieces_ % kTailPiecesMost + 1;
        KEEL_CHECK(repository_.put_tail(server_.system, name_, bytes_, pieces_ == 1 ? 0 : stored_));
        stored_ = bytes_.size();
        safe_ = here();
        changed_ = true;
        return {};
    }

    // What is about to become a whole segment needs no pieces.
    bool is_behind() const { return server_end_.value > here().value + server_.origin.segment_bytes; }

    Status store_and_tell(bool idle) {
        KEEL_CHECK(take_stored());
        auto const now = runtime::boot_now();
        if (!idle && !asked_ && now - told_ < repository_.pace().store) return {};
        told_ = now;
        if (idle || !is_behind()) KEEL_CHECK(store_tail());
        // Nothing is told to be safe that is not: the slot would let go of it.
        if (!changed_ && !asked_ && now - answered_ < 1s) return {};
        asked_ = changed_ = false;
        answered_ = now;
        return link_.give(status_message(here(), safe_, runtime::unix_ms_now()), Bound(kAnswer));
    }

    Connection& link_;
    Repository const& repository_;
    Server server_;
    SegmentId id_;
    std::string name_;
    std::string bytes_;
    std::size_t stored_ = 0;
    int pieces_ = 0;  // of the tail
    Lsn safe_;        // all before it is durable
    Lsn server_end_;
    std::map<SegmentId, std::uint64_t> old_tails_;
    bool asked_ = false, changed_ = true, streams_ = false;
    Instant told_, answered_;
    SegmentStore store_;
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
        (void)Bound(repository.pace().look).pause(repository.pace().look);
    }
}

}  // namespace

Status archive_once(postgres::Place const& place, config::RepositorySettings const& settings,
                    std::string const& cluster_id) {
    Stream* running = nullptr;
    auto const on_wait = [&running](Duration silent) {
        if (running != nullptr) running->wait(silent);
    };
    KEEL_TRY(auto const repository, Repository::open(settings, {kRetry, on_wait}));
    KEEL_TRY(auto link, connect(place, "pgkeel archiver"));
    KEEL_TRY(auto server, look_at(link));
    KEEL_CHECK(repository.claim(server.system, cluster_id, place.directory + kSeenRepositories));
    KEEL_CHECK(ensure_slot(link));
    if (server.standby) return pin(link, repository);
    Stream stream(link, repository, settings, std::move(server));
    running = &stream;
    return stream.run();
}

}  // namespace keel::archive
