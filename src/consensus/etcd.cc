#include "consensus/etcd.h"

#include <openssl/evp.h>

#include <boost/json.hpp>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "base/json.h"
#include "consensus/etcd_gateway.h"

namespace keel::consensus {

namespace {

namespace bj = boost::json;

constexpr Duration kWatchAgainAfter = 300ms;
constexpr Duration kWatchAgainAtMost = 3s;

std::string to_base64(std::string const& bytes) {
    std::string out(4 * ((bytes.size() + 2) / 3) + 1, '\0');
    auto const length =
        ::EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                          reinterpret_cast<unsigned char const*>(bytes.data()), static_cast<int>(bytes.size()));
    out.resize(static_cast<std::size_t>(length));
    return out;
}

std::string from_base64(std::string_view text) {
    std::string out(text.size() / 4 * 3 + 3, '\0');
    auto const length =
        ::EVP_DecodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                          reinterpret_cast<unsigned char const*>(text.data()), static_cast<int>(text.size()));
    if (length < 0) return {};
    std::size_t const padding = text.ends_with("==") ? 2 : text.ends_with("=") ? 1 : 0;
    out.resize(static_cast<std::size_t>(length) - padding);
    return out;
}

// The member at a path of names and indexes; null when it is not there.
bj::value const* at(bj::value const& tree, std::string_view pointer) {
    bj::error_code error;
    auto const* found = tree.find_pointer(pointer, error);
    return error ? nullptr : found;
}

// 64-bit numbers are texts in protobuf's JSON; a zero is left out.
std::int64_t number(bj::value const& tree, std::string_view pointer) {
    auto const* found = at(tree, pointer);
    if (found == nullptr || !found->is_string()) return 0;
    return std::strtoll(found->get_string().c_str(), nullptr, 10);
}

// The key as etcd has it.
struct Stored {
    std::int64_t mod_revision = 0;  // 0: it is not there
    std::optional<cluster::Record> record;
};

// `tree` holds a KeyValue.
Result<Stored> decode_stored(bj::value const& tree) {
    auto const* value = at(tree, "/value");
    if (value == nullptr || !value->is_string()) return fail(Code::corrupt, "etcd's answer has no value");
    KEEL_TRY(auto record, cluster::decode_record(from_base64(value->get_string())));
    return Stored{number(tree, "/mod_revision"), std::move(record)};
}

Result<Stored> decode_range(bj::value const& tree) {
    auto const* first = at(tree, "/kvs/0");
    if (first == nullptr) return Stored{};
    return decode_stored(*first);
}

}  // namespace

struct Etcd::Client : std::enable_shared_from_this<Etcd::Client> {
    Client(Options given, std::function<void(std::function<void()>)> poster)
        : options(std::move(given)),
          post(std::move(poster)),
          key(to_base64(options.key)),
          newest(options.known_revision),
          gateway(options, stop) {}

    // ---- the worker's thread ----
    void work() {
        std::unique_lock lock(mutex);
        for (;;) {
            wake.wait(lock, [this] { return stop || !jobs.empty(); });
            if (stop) return;
            auto job = std::move(jobs.front());
            jobs.pop_front();
            lock.unlock();
            job();
            lock.lock();
        }
    }

    Result<Stored> range(EtcdGateway& through) {
        KEEL_TRY(auto const tree, through.query("/v3/kv/range", {{"key", key}}));
        return decode_range(tree);
    }

    // The key as it is now; an error too when it is older than what was seen before. Either is noted.
    Result<Stored> look() {
        auto stored = range(gateway);
        if (stored) {
            auto const revision = stored->record ? stored->record->revision : 0;
            if (revision < newest)
                stored = older(revision);
            else
                newest = revision;
        }
        note(stored ? std::nullopt : std::optional(stored.error()));
        return stored;
    }

    Result<Stored> older(std::uint64_t revision) const {
        auto const what = revision == 0 ? std::string("no record") : "revision " + std::to_string(revision);
        return fail(Code::corrupt,
                    "etcd has " + what + " of this cluster, but revision " + std::to_string(newest) +
                        " was there before: its data were wiped or restored from an old copy",
                    "put etcd's newest data back; until then nobody can be elected and no setting changed");
    }

    cluster::StoreAnswer do_read() {
        auto stored = look();
        if (!stored) return {};
        seen = *stored;
        return {cluster::Swapped::done, std::move(stored->record)};
    }

    cluster::StoreAnswer do_swap(std::uint64_t expected, cluster::Record record) {
        record.revision = expected + 1;
        // Twice: what was seen before may be stale.
        for (int i = 0; i < 2; ++i) {
            if ((seen.record ? seen.record->revision : 0) != expected || i == 1) {
                auto stored = look();
                if (!stored) return {};
                seen = std::move(*stored);
            }
            if ((seen.record ? seen.record->revision : 0) != expected) return {cluster::Swapped::conflict, seen.record};
            auto const tree = gateway.change("/v3/kv/txn", transaction(cluster::encode(record)));
            note(tree ? std::nullopt : std::optional(tree.error()));
            if (!tree) return {};
            auto const* succeeded = at(*tree, "/succeeded");
            if (succeeded != nullptr && succeeded->is_bool() && succeeded->get_bool()) {
                seen = {number(*tree, "/header/revision"), record};
                newest = record.revision;
                return {cluster::Swapped::done, std::move(record)};
            }
            seen = {};
        }
        return {};
    }

    bj::value transaction(std::string const& text) const {
        bj::value const compare{
            {"key", key}, {"target", "MOD"}, {"result", "EQUAL"}, {"mod_revision", std::to_string(seen.mod_revision)}};
        bj::value const put{{"request_put", {{"key", key}, {"value", to_base64(text)}}}};
        return {{"compare", bj::array{compare}}, {"success", bj::array{put}}};
    }

    // ---- the watcher's thread ----
    void follow() {
        EtcdGateway own(options, stop);
        auto pause = kWatchAgainAfter;
        while (!stop) {
            auto const stored = range(own);
            if (stored) {
                if (stored->record) tell(*stored->record);
                auto const from = std::max<std::int64_t>(stored->mod_revision, 0) + 1;
                bj::value const request{{"create_request", {{"key", key}, {"start_revision", std::to_string(from)}}}};
                auto const ended =
                    own.stream("/v3/watch", request, [this](std::string_view line) { return take(line); });
                if (ended || ended.error().outcome == keel::Outcome::unknown)
                    pause = kWatchAgainAfter;  // it stood for a while
            }
            std::unique_lock lock(mutex);
            wake_watcher.wait_for(lock, pause, [this] { return stop.load(); });
            pause = std::min(pause * 2, kWatchAgainAtMost);
        }
    }

    // False ends the watch: etcd cancelled it, or compacted what it asked for.
    bool take(std::string_view line) {
        auto const tree = json::parse(line);
        if (!tree || at(*tree, "/error") != nullptr || at(*tree, "/result/canceled") != nullptr) return false;
        auto const* events = at(*tree, "/result/events");
        if (events == nullptr || !events->is_array()) return true;
        for (auto const& event : events->get_array()) {
            auto const* pair = at(event, "/kv");
            auto stored = pair != nullptr ? decode_stored(*pair) : Result<Stored>(Stored{});
            if (stored && stored->record) tell(std::move(*stored->record));
        }
        return true;
    }

    void tell(cluster::Record record) {
        post([weak = weak_from_this(), record = std::move(record)] {
            auto const self = weak.lock();
            if (!self || record.revision <= self->told) return;
            self->told = record.revision;
            if (self->watcher) self->watcher(record);
        });
    }

    // ---- the loop's thread ----
    void submit(std::function<cluster::StoreAnswer()> job, Answer answer) {
        auto shared = std::make_shared<Answer>(std::move(answer));
        {
            std::lock_guard const lock(mutex);
            jobs.emplace_back([this, job = std::move(job), shared = std::move(shared)]() mutable {
                // Moved, so that what the answer holds is not destroyed on this thread.
                post([weak = weak_from_this(), result = job(), shared = std::move(shared)] {
                    if (weak.lock()) (*shared)(result);
                });
            });
        }
        wake.notify_one();
    }

    void end() {
        {
            std::lock_guard const lock(mutex);
            stop = true;
        }
        wake.notify_all();
        wake_watcher.notify_all();
        if (worker.joinable()) worker.join();
        if (follower.joinable()) follower.join();
    }

    // ---- any thread ----
    void note(std::optional<Error> const& error) {
        std::lock_guard const lock(mutex);
        trouble = error ? to_string(*error) : std::string();
    }

    Options const options;
    std::function<void(std::function<void()>)> const post;
    std::string const key;  // in base64
    std::atomic<bool> stop = false;
    std::mutex mutex;  // of jobs, trouble
    std::condition_variable wake, wake_watcher;
    std::deque<std::function<void()>> jobs;
    std::string trouble;
    std::uint64_t newest;  // the worker's: revisions only grow, unless etcd's data are not what they were
    EtcdGateway gateway;   // the worker's
    Stored seen;           // the worker's
    Watcher watcher;
    std::uint64_t told = 0;
    std::thread worker, follower;
};

Result<std::unique_ptr<Etcd>> Etcd::open(Options options, std::function<void(std::function<void()>)> post) {
    if (options.endpoints.empty() || options.key.empty()) {
        return fail(Code::invalid, "the etcd store needs endpoints and a key",
                    "set endpoints = [\"https://host:2379\"] in [store]");
    }
    for (auto& endpoint : options.endpoints) {
        if (!endpoint.starts_with("http://") && !endpoint.starts_with("https://")) {
            return fail(Code::invalid, "etcd endpoint \"" + endpoint + "\" has no scheme", "write https://host:2379");
        }
        if (endpoint.starts_with("http://") && !options.user.empty()) {
            return fail(Code::invalid, "the password for etcd would travel unencrypted to " + endpoint,
                        "use https:// endpoints");
        }
        while (endpoint.ends_with('/')) endpoint.pop_back();
    }
    auto client = std::make_shared<Client>(std::move(options), std::move(post));
    client->worker = std::thread([raw = client.get()] { raw->work(); });
    return std::unique_ptr<Etcd>(new Etcd(std::move(client)));
}

Etcd::Etcd(std::shared_ptr<Client> client) : client_(std::move(client)) {}
Etcd::~Etcd() { client_->end(); }

void Etcd::read(Answer answer) {
    client_->submit([raw = client_.get()] { return raw->do_read(); }, std::move(answer));
}

void Etcd::swap(std::uint64_t expected, cluster::Record record, Answer answer) {
    auto job = [raw = client_.get(), expected, record = std::move(record)] { return raw->do_swap(expected, record); };
    client_->submit(std::move(job), std::move(answer));
}

void Etcd::watch(Watcher watcher) {
    client_->watcher = std::move(watcher);
    if (!client_->follower.joinable()) client_->follower = std::thread([raw = client_.get()] { raw->follow(); });
}

std::string Etcd::trouble() const {
    std::lock_guard const lock(client_->mutex);
    return client_->trouble;
}

}  // namespace keel::consensus
