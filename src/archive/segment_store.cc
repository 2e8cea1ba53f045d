#include "archive/segment_store.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "runtime/clock.h"

namespace keel::archive {

namespace {

constexpr std::uint64_t kMemoryMost = 64U << 20U;  // of segments, but for one bigger segment
constexpr unsigned kThreadsMost = 4;

}  // namespace

struct SegmentStore::Shared {
    struct Job {
        std::uint64_t turn = 0;
        Segment segment;
    };

    config::RepositorySettings settings;
    Duration retry;
    std::string system;
    Origin origin;
    std::size_t most = 1;  // segments that wait or are at work

    mutable std::mutex mutex;
    std::condition_variable work, progress;
    std::deque<Job> waiting;
    std::uint64_t added = 0;  // turns given out
    std::uint64_t next = 0;   // whose turn it is to become visible
    bool stops = false;
    std::optional<Error> failed;
    std::vector<SegmentId> stored;
    std::vector<std::string> spares;
    std::vector<std::unique_ptr<Worker>> workers;
};

struct SegmentStore::Worker {
    explicit Worker(Shared& common) : shared(common), thread([this] { run(); }) {}

    void run() {
        std::unique_lock lock(shared.mutex);
        for (;;) {
            shared.work.wait(lock, [&] { return shared.stops || shared.failed || !shared.waiting.empty(); });
            if (shared.stops || shared.failed) return;
            auto job = std::move(shared.waiting.front());
            shared.waiting.pop_front();
            lock.unlock();
            auto const packed = pack(job.segment);
            lock.lock();
            shared.progress.wait(lock, [&] { return shared.stops || shared.failed || shared.next == job.turn; });
            if (shared.stops || shared.failed) return;
            lock.unlock();
            auto const done = packed ? store(job.segment, *packed) : Status(std::unexpected(packed.error()));
            lock.lock();
            end(std::move(job), done);
        }
    }

    Result<Repository::PackedWal> pack(Segment const& segment) {
        KEEL_CHECK(check_pages(shared.origin, segment.id, segment.bytes));
        KEEL_TRY(auto present, find(segment));
        return repository->pack_wal(name_of(segment), segment.bytes, std::move(present));
    }

    Result<std::vector<std::string>> find(Segment const& segment) {
        Asks const asks(*this);
        if (!repository) {
            auto const sign = [this](Duration silent) { asked_at = runtime::boot_now() - silent; };
            KEEL_TRY(auto opened, Repository::open(shared.settings, {shared.retry, sign}));
            repository.emplace(std::move(opened));
        }
        return repository->find_wal(shared.system, name_of(segment));
    }

    Status store(Segment const& segment, Repository::PackedWal const& packed) {
        Asks const asks(*this);
        KEEL_CHECK(repository->store_wal(shared.system, packed));
        if (segment.has_tail) KEEL_CHECK(repository->remove_tail(shared.system, name_of(segment)));
        return {};
    }

    // With the lock.
    void end(Shared::Job job, Status const& done) {
        if (done) {
            shared.stored.push_back(job.segment.id);
            job.segment.bytes.clear();
            if (shared.spares.size() < shared.most) shared.spares.push_back(std::move(job.segment.bytes));
            ++shared.next;
        } else {
            shared.failed = done.error();
        }
        shared.progress.notify_all();
        if (shared.failed) shared.work.notify_all();
    }

    std::string name_of(Segment const& segment) const {
        return postgres::segment_name(segment.id.timeline, segment.id.number, shared.origin.segment_bytes);
    }

    // While the repository is asked something.
    struct Asks {
        explicit Asks(Worker& owner) : worker(owner) { worker.asked_at = runtime::boot_now(); }
        ~Asks() { worker.asked_at = Instant{}; }
        Asks(Asks const&) = delete;
        Asks& operator=(Asks const&) = delete;
        Worker& worker;
    };

    Shared& shared;
    std::optional<Repository> repository;
    std::atomic<Instant> asked_at{
        Instant{}};      // of the last sign of the repository, too; the beginning of time: it is not asked
    std::thread thread;  // last: it uses the others
};

SegmentStore::SegmentStore(config::RepositorySettings settings, Duration retry, std::string system, Origin origin)
    : shared_(std::make_unique<Shared>()) {
    shared_->settings = std::move(settings);
    shared_->retry = retry;
    shared_->system = std::move(system);
    shared_->origin = origin;
    shared_->most = std::max<std::size_t>(1, kMemoryMost / origin.segment_bytes);
}

SegmentStore::~SegmentStore() {
    {
        std::lock_guard const lock(shared_->mutex);
        shared_->stops = true;
    }
    shared_->work.notify_all();
    shared_->progress.notify_all();
    for (auto const& worker : shared_->workers) worker->thread.join();
}

bool SegmentStore::has_room() const {
    std::lock_guard const lock(shared_->mutex);
    return shared_->added - shared_->next < shared_->most;
}

bool SegmentStore::is_idle() const {
    std::lock_guard const lock(shared_->mutex);
    return shared_->added == shared_->next;
}

void SegmentStore::add(Segment segment) {
    {
        std::lock_guard const lock(shared_->mutex);
        // One more than there are processors: one of them may wait for the repository.
        auto const threads =
            std::min({std::thread::hardware_concurrency() + 1, kThreadsMost, static_cast<unsigned>(shared_->most)});
        auto const busy = shared_->added - shared_->next;
        if (shared_->workers.size() < threads && busy >= shared_->workers.size())
            shared_->workers.push_back(std::make_unique<Worker>(*shared_));
        shared_->waiting.push_back({shared_->added++, std::move(segment)});
    }
    shared_->work.notify_one();
}

Result<std::vector<SegmentId>> SegmentStore::take_stored() {
    std::lock_guard const lock(shared_->mutex);
    if (shared_->stored.empty() && shared_->failed) return fail(*shared_->failed);
    return std::exchange(shared_->stored, {});
}

void SegmentStore::wait(Duration most) const {
    std::unique_lock lock(shared_->mutex);
    shared_->progress.wait_for(lock, most, [&] { return !shared_->stored.empty() || shared_->failed; });
}

Duration SegmentStore::silent() const {
    std::lock_guard const lock(shared_->mutex);
    auto const now = runtime::boot_now();
    Duration out{};
    for (auto const& worker : shared_->workers) {
        auto const since = worker->asked_at.load();
        if (since != Instant{}) out = std::max(out, now - since);
    }
    return out;
}

std::string SegmentStore::spare() {
    std::lock_guard const lock(shared_->mutex);
    if (shared_->spares.empty()) return {};
    auto out = std::move(shared_->spares.back());
    shared_->spares.pop_back();
    return out;
}

}  // namespace keel::archive
