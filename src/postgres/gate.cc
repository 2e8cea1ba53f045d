#include "postgres/gate.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <utility>

#include "ext/pgkeel_gate.h"
#include "runtime/files.h"
#include "runtime/shared_words.h"

namespace keel::postgres {

namespace {

constexpr std::uint32_t kStreaming = 3;  // WALSNDSTATE_STREAMING
// The server writes every 100 ms; a loaded machine is given time.
constexpr Duration kFactsStale = 3s;

template <class Word>
Word read(Word const& word) {
    return __atomic_load_n(&word, __ATOMIC_ACQUIRE);
}
template <class Word>
void write(Word& word, Word value) {
    __atomic_store_n(&word, value, __ATOMIC_RELEASE);
}

std::int64_t microseconds(Instant moment) { return moment.time_since_epoch().count(); }

// A server maps this very file for its whole life: it is changed in place, by a predecessor's rules.
void make_new(pgkeel_gate& words, std::string const& boot) {
    write(words.magic, std::uint64_t{0});
    std::memset(static_cast<void*>(&words), 0, sizeof words);
    words.version = PGKEEL_GATE_VERSION;
    words.size = sizeof words;
    std::strncpy(words.boot_id, boot.c_str(), sizeof words.boot_id - 1);
    words.fsync_us = -1;
    write(words.magic, PGKEEL_GATE_MAGIC);
}

bool are_ours(pgkeel_gate const& words, std::string const& boot) {
    return words.magic == PGKEEL_GATE_MAGIC && words.version == PGKEEL_GATE_VERSION && words.size == sizeof words &&
           std::strncmp(words.boot_id, boot.c_str(), sizeof words.boot_id) == 0;
}

GateFacts copy_facts(pgkeel_gate const& words, Instant now) {
    GateFacts out;
    out.told = Instant(Duration(read(words.server_us)));
    out.library_version = read(words.library_version);
    out.postmaster = static_cast<pid_t>(read(words.postmaster));
    out.in_recovery = read(words.in_recovery) != 0;
    out.flush = Lsn{read(words.flush)};
    out.replay = Lsn{read(words.replay)};
    out.fsync = Duration(read(words.fsync_us));
    if (auto const begun = read(words.fsync_begun_us); begun != 0)
        out.hanging = std::max(Duration{0}, now - Instant(Duration(begun)));
    out.refused = read(words.refused);
    out.held = read(words.held);
    auto const used = std::min<std::uint32_t>(read(words.senders_used), PGKEEL_GATE_SENDERS_MAX);
    for (std::uint32_t i = 0; i < used; ++i) {
        auto const& one = words.senders[i];
        out.senders.push_back({NodeId{std::string(one.name, ::strnlen(one.name, sizeof one.name))},
                               one.state == kStreaming, one.sync_priority != 0, Lsn{one.sent}, Lsn{one.write},
                               Lsn{one.flush}, Lsn{one.replay}});
    }
    return out;
}

}  // namespace

std::string Gate::path_of(std::string const& directory) {
    return runtime::shared_path(directory, fmt::format("pgkeel-gate{}", PGKEEL_GATE_VERSION), "gate");
}

Result<Gate> Gate::open(std::string const& directory) {
    auto const path = path_of(directory);
    if (path.empty()) return fail(runtime::system_error(errno, directory));
    KEEL_TRY(void* const mapped, runtime::map_shared(path, sizeof(pgkeel_gate)));
    auto* words = static_cast<pgkeel_gate*>(mapped);
    if (auto const boot = runtime::boot_id(); !are_ours(*words, boot)) make_new(*words, boot);
    return Gate(words);
}

void Gate::remove(std::string const& directory) {
    if (auto const path = path_of(directory); !path.empty()) (void)::unlink(path.c_str());
}

Gate::Gate(Gate&& other) noexcept : words_(std::exchange(other.words_, nullptr)) {}
Gate& Gate::operator=(Gate&& other) noexcept {
    std::swap(words_, other.words_);
    return *this;
}
Gate::~Gate() {
    if (words_ != nullptr) ::munmap(words_, sizeof(pgkeel_gate));
}

void Gate::order(GateOrders const& orders, Instant now) {
    // What makes commits safer goes before the deadline that lets them through.
    write(words_->recheck, std::uint32_t{orders.recheck});
    write(words_->floor, static_cast<std::uint32_t>(orders.floor));
    write(words_->epoch, orders.epoch.value);
    write(words_->deadline_us, microseconds(orders.deadline));
    write(words_->logins, 1U);
    write(words_->agent_us, microseconds(now));
}

void Gate::shut(Instant now) {
    write(words_->deadline_us, std::int64_t{0});
    write(words_->logins, 0U);
    write(words_->agent_us, microseconds(now));
}

void Gate::let_signals_through(bool through) { write(words_->unmask, std::uint32_t{through}); }

GateFacts Gate::facts(Instant now) const {
    GateFacts out;
    for (int attempt = 0; attempt < 100; ++attempt) {
        auto const before = read(words_->sequence);
        out = copy_facts(*words_, now);
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        if (before % 2 == 0 && before == read(words_->sequence)) break;
    }
    return out;
}

std::string find_extension(std::string const& binaries) {
    std::vector<std::string> places;
    // .../postgresql/<major>/bin, as Debian has it; a build has build/<preset>/pgkeel and build/ext/<major>/pgkeel.so.
    std::filesystem::path const bin(binaries);
    std::error_code error;
    auto const program = std::filesystem::read_symlink("/proc/self/exe", error);
    if (bin.filename() == "bin" && !error) {
        auto const build = program.parent_path().parent_path();
        places.push_back((build / "ext" / bin.parent_path().filename() / "pgkeel.so").string());
    }
    // pkglibdir, as pg_config would tell: it is not everywhere.
    for (auto const* folder : {"lib/pgkeel.so", "lib/postgresql/pgkeel.so", "lib64/pgkeel.so"})
        places.push_back((bin.parent_path() / folder).string());
    auto const found = std::ranges::find_if(places, [](auto const& one) { return ::access(one.c_str(), R_OK) == 0; });
    return found == places.end() ? std::string() : *found;
}

std::string judge_fence(std::string const& extension, std::string const& refusal, pid_t postmaster,
                        GateFacts const& facts, Instant now) {
    if (postmaster == 0) return "none needed (PostgreSQL does not run here)";
    if (facts.postmaster == postmaster && now - facts.told < kFactsStale) {
        if (facts.library_version == PGKEEL_LIBRARY_VERSION) return "full";
        return fmt::format(
            "degraded (PostgreSQL has extension {}, this program is made for {}: install that one, then "
            "pgkeel restart)",
            facts.library_version, PGKEEL_LIBRARY_VERSION);
    }
    if (!refusal.empty()) return fmt::format("degraded (extension not loaded: PostgreSQL refuses it: {})", refusal);
    if (extension.empty())
        return "degraded (extension not loaded: none is installed for this PostgreSQL: install pgkeel.so, then pgkeel "
               "restart)";
    return facts.postmaster == postmaster
               ? "degraded (the extension has not told anything for 3 s)"
               : "degraded (extension not loaded: PostgreSQL was started without it: pgkeel restart)";
}

}  // namespace keel::postgres
