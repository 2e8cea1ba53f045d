// Dumps of single databases: `pgkeel backup create --logical`, `pgkeel backup fetch`, and their part of an expiry.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "agent/privileges.h"
#include "agent/start_up.h"
#include "archive/expire.h"
#include "cli/backup_where.h"
#include "cluster/status.h"
#include "runtime/clock.h"

namespace keel::cli {

namespace {

constexpr Duration kDumpMost = std::chrono::hours(24);

std::vector<std::string> names_in(std::string const& list) {
    std::vector<std::string> out;
    for (std::size_t from = 0; from <= list.size();) {
        auto const end = std::min(list.find(',', from), list.size());
        auto name = list.substr(from, end - from);
        name.erase(0, name.find_first_not_of(' '));
        name.erase(name.find_last_not_of(' ') + 1);
        if (!name.empty()) out.push_back(std::move(name));
        from = end + 1;
    }
    return out;
}

agent::JobOutcome outcome_of(std::vector<archive::Dump> const& made) {
    agent::JobOutcome out{"dump of ", {}};
    double bytes = 0, stored = 0;
    for (auto const& one : made) {
        out.text += fmt::format("{}{} ({})", &one == &made.front() ? "" : ", ", one.database, one.label);
        bytes += static_cast<double>(one.bytes);
        stored += static_cast<double>(one.stored_bytes);
    }
    if (out.text.size() > 300) out.text = fmt::format("dump of {} databases", made.size());
    out.text += fmt::format(": {}, stored {}", cluster::bytes_text(static_cast<std::uint64_t>(bytes)),
                            cluster::bytes_text(static_cast<std::uint64_t>(stored)));
    out.figures = {{"databases", static_cast<double>(made.size())}, {"bytes", bytes}, {"stored_bytes", stored}};
    return out;
}

}  // namespace

std::string dump_line(archive::Dump const& one) {
    return fmt::format("{}  dump of {}  {}, stored {}\n", one.label, one.database, cluster::bytes_text(one.bytes),
                       cluster::bytes_text(one.stored_bytes));
}

Done create_dumps(Commands const& commands, Work work, DumpsWanted const& wanted) {
    work.kind = cluster::JobKind::dump;
    KEEL_TRY(auto const config, agent::load_config(commands.reach().directory));
    KEEL_TRY(auto const identity, agent::read_identity(commands.reach().directory));
    if (config.backup.repository.empty()) {
        KEEL_TRY(auto const unused, open_repository(commands, {}));  // says why not
    }
    KEEL_CHECK(agent::become_user(config.user));
    auto const place = agent::place_of(config, identity.node);
    KEEL_TRY(auto const repository, archive::Repository::open(config.backup));
    auto names = wanted.databases;
    for (auto& name : names_in(wanted.list)) names.push_back(std::move(name));
    if (names.empty()) {
        KEEL_TRY(names, archive::databases_of(place));
    }
    Interrupts const interrupts;
    std::vector<archive::Dump> made;
    std::optional<Error> first;
    for (auto const& name : names) {
        auto dump = archive::take_dump(place, identity.cluster_id, repository, name, interrupts.bound(kDumpMost));
        if (dump && !work.as_job) fmt::print("{}", dump_line(*dump));
        // One database that cannot be dumped is no reason to have none.
        if (dump)
            made.push_back(*std::move(dump));
        else if (!first)
            first = std::move(dump.error());
        if (interrupts.came()) break;
    }
    if (first) return std::unexpected(Failure(*first));
    if (made.size() < names.size())
        return stop(kFailed, Code::conflict,
                    fmt::format("interrupted: {} of {} databases are dumped", made.size(), names.size()),
                    "run it again for the others");
    tell_done(commands, work, outcome_of(made));
    return {};
}

Done expire_dumps(Opened const& opened, std::uint32_t days, bool dry_run, std::size_t& removed) {
    KEEL_TRY(auto const all, archive::dumps_of(opened.repository, opened.system));
    std::int64_t newest = 0;
    for (auto const& one : all) newest = std::max(newest, one.ended_unix_ms);
    KEEL_CHECK(archive::check_day_count(opened.repository, opened.system, days, newest));
    for (auto const& one : archive::old_dumps(all, days, runtime::unix_ms_now())) {
        fmt::print("goes   {}", dump_line(one));
        if (dry_run) continue;
        KEEL_CHECK(archive::remove_dump(opened.repository, one));
        ++removed;
    }
    return {};
}

void add_backup_fetch(Commands& commands, CLI::App& backup) {
    struct Fetch {
        Where where;
        std::string label, to;
    };
    auto const asked = std::make_shared<Fetch>();
    auto& command = commands.add_local_below(backup, "fetch", "A dump as a file for pg_restore");
    add_where(command, asked->where);
    command.add_option("label", asked->label, "As list shows it")->required();
    command.add_option("--to", asked->to, "A new file")->required();
    commands.on(command, [asked, &commands]() -> Done {
        KEEL_TRY(auto const opened, open_repository(commands, asked->where));
        KEEL_TRY(auto const all, archive::dumps_of(opened.repository, opened.system));
        auto const found = std::ranges::find(all, asked->label, &archive::Dump::label);
        if (found == all.end())
            return stop(kUsage, Code::not_found, fmt::format("there is no dump {}", asked->label),
                        "pgkeel backup list; a base backup is restored by pgkeel restore");
        KEEL_CHECK(archive::fetch_dump(opened.repository, *found, asked->to));
        fmt::print("{} is the dump of {}, checked: pg_restore --dbname={} {}\n", asked->to, found->database,
                   found->database, asked->to);
        return {};
    });
}

}  // namespace keel::cli
