#include "archive/hold.h"

#include <fmt/format.h>

#include <algorithm>

#include "runtime/clock.h"

namespace keel::archive {

namespace {

constexpr std::size_t kSmall = 1U << 20U;
// Longer than any backup or restore.
constexpr std::int64_t kWorkMostMs = std::int64_t{7} * 86'400'000;
constexpr std::int64_t kExpiryMostMs = 86'400'000;

struct Announced {
    Lsn before;
    std::int64_t until_unix_ms = 0;
};
BOOST_DESCRIBE_STRUCT(Announced, (), (before, until_unix_ms))

std::string pin_object(std::string const& system, std::string const& label) {
    return fmt::format("{}/hold/{}/pin", system, label);
}

}  // namespace

Result<std::vector<Hold>> holds_of(Repository const& repository, std::string const& system) {
    KEEL_TRY(auto const names, repository.objects().list(system + "/hold/"));
    std::vector<Hold> out;
    for (auto const& name : names) {
        auto const text = repository.objects().get(name, kSmall);
        if (!text && text.error().code == Code::not_found) continue;  // taken away meanwhile
        KEEL_CHECK(text);
        auto one = json::read<Hold>(*text);
        if (!one)
            return fail(Code::corrupt, repository.objects().where(name) + " does not say what it keeps",
                        "remove it if no backup is to be pinned by it: until then nothing expires");
        out.push_back(std::move(*one));
    }
    return out;
}

Status pin(Repository const& repository, Backup const& backup, std::string const& why) {
    Hold const hold{backup.label, backup.start, 0, why.empty() ? "pinned" : "pinned: " + why, backup.chain};
    KEEL_CHECK(repository.objects().put(pin_object(backup.system_id, backup.label), json::write(hold) + "\n"));
    // An expiry looks for pins again once it has taken the description away.
    KEEL_TRY(auto const left, repository.backups(backup.system_id));
    if (std::ranges::find(left, backup.label, &Backup::label) != left.end()) return {};
    return fail(Code::not_found, backup.label + " has just expired", "pgkeel backup list");
}

Status unpin(Repository const& repository, std::string const& system, std::string const& label) {
    auto const object = pin_object(system, label);
    KEEL_CHECK(repository.objects().get(object, kSmall));
    return repository.objects().remove(object);
}

Status remove_dead_holds(Repository const& repository, std::string const& system,
                         std::function<bool(std::string const& label)> const& dead) {
    KEEL_TRY(auto const names, repository.objects().list(system + "/hold/"));
    for (auto const& name : names) {
        auto const text = repository.objects().get(name, kSmall);
        auto const one = text ? json::read<Hold>(*text) : Result<Hold>(std::unexpected(text.error()));
        if (one && one->why == kBeingTaken && dead(one->label)) KEEL_CHECK(repository.objects().remove(name));
    }
    return {};
}

Result<std::unique_ptr<WorkHold>> WorkHold::place(Repository const& repository, std::string const& system, Hold hold) {
    hold.until_unix_ms = runtime::unix_ms_now() + kWorkMostMs;
    auto const object = fmt::format("{}/hold/{}/{}", system, hold.label, runtime::random_hex(8));
    KEEL_CHECK(repository.objects().put(object, json::write(hold) + "\n"));
    return std::unique_ptr<WorkHold>(new WorkHold(repository, object));
}

Result<std::unique_ptr<WorkHold>> WorkHold::announce(Repository const& repository, std::string const& system,
                                                     Lsn before) {
    Announced const mark{before, runtime::unix_ms_now() + kExpiryMostMs};
    auto const object = fmt::format("{}/expiring/{}", system, runtime::random_hex(8));
    KEEL_CHECK(repository.objects().put(object, json::write(mark) + "\n"));
    return std::unique_ptr<WorkHold>(new WorkHold(repository, object));
}

Status check_announced(Repository const& repository, std::string const& system, Lsn start) {
    KEEL_TRY(auto const names, repository.objects().list(system + "/expiring/"));
    for (auto const& name : names) {
        auto const text = repository.objects().get(name, kSmall);
        if (!text && text.error().code == Code::not_found) continue;  // it has ended
        KEEL_CHECK(text);
        KEEL_TRY(auto const one, json::read<Announced>(*text));
        if (start >= one.before || one.until_unix_ms <= runtime::unix_ms_now()) continue;
        return fail(Code::conflict,
                    fmt::format("an expiry removes WAL before {}, and this backup needs it from {} on",
                                to_string(one.before), to_string(start)),
                    "take the backup again when the expiry has ended, or from the primary. If it was killed, its mark "
                    "ends by itself after a day: " +
                        repository.objects().where(name));
    }
    return {};
}

WorkHold::~WorkHold() { (void)repository_.objects().remove(object_); }

}  // namespace keel::archive
