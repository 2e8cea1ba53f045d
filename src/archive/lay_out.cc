#include "archive/lay_out.h"

#include <fmt/format.h>

#include <algorithm>

#include "archive/assemble.h"
#include "postgres/conf.h"
#include "postgres/job.h"
#include "runtime/files.h"
#include "runtime/log.h"

namespace keel::archive {

namespace {

using postgres::Bound;

// A restored server is nobody's member: it must neither follow nor wait for the ones it was copied from.
constexpr char const* kAlone =
    "archive_mode = 'off'\nprimary_conninfo = ''\nprimary_slot_name = ''\nsynchronous_standby_names = ''\n"
    "shared_preload_libraries = ''\nssl = 'off'\nlisten_addresses = 'localhost'\nunix_socket_directories = '/tmp'\n"
    "recovery_min_apply_delay = '0'\narchive_cleanup_command = ''\nrecovery_end_command = ''\n";

// What the cluster's server has of memory was not meant twice, and its log is no place for another.
constexpr char const* kBeside =
    "shared_buffers = '128MB'\nhuge_pages = 'off'\nlogging_collector = 'off'\nautovacuum = 'off'\n";

std::string recovery_settings(Plan const& plan, RestoreTo const& to, char const* action) {
    std::string out = fmt::format("restore_command = {}\nrecovery_target_timeline = '{}'\n",
                                  postgres::quote_conf(to.fetch_command), plan.lineage.timeline.value);
    if (plan.target.lsn)
        out += fmt::format("recovery_target_lsn = '{}'\n", to_string(*plan.target.lsn));
    else
        out += fmt::format("recovery_target_time = '{}'\n", time_text(*plan.target.time_us));
    return out + fmt::format("recovery_target_inclusive = 'on'\nrecovery_target_action = '{}'\nhot_standby = 'off'\n",
                             action);
}

Status unpack(Repository const& repository, Plan const& plan, Parts const& parts, RestoreTo const& to,
              BackupProgress const& progress, Bound const& bound) {
    KEEL_TRY(auto const manifest, read_manifest(repository, plan.backup));
    KEEL_CHECK(assemble(repository, plan.backup, parts, to.directory, progress, bound));
    KEEL_CHECK(runtime::write_atomically(to.directory + "/backup_manifest", manifest, 0600));
    // The WAL is checked when it is replayed.
    KEEL_CHECK(postgres::run_job({{to.binaries + "/pg_verifybackup", "--no-parse-wal", to.directory}}, bound));
    return {};
}

// Nothing, when the repository may only be read: that must hinder no restore.
Result<std::unique_ptr<WorkHold>> keep_from_expiry(Repository const& repository, Backup const& backup) {
    auto hold = WorkHold::place(repository, backup.system_id,
                                {backup.label, backup.start, 0, "a restore reads it", backup.chain});
    if (!hold && hold.error().code != Code::denied)
        return fail(Error(hold.error()).in("the mark that keeps the backup from expiry cannot be written"));
    if (!hold) {
        runtime::log::warning("restore", "no expiry must run meanwhile, for it cannot be told of this restore: {}",
                              to_string(hold.error()));
        return std::unique_ptr<WorkHold>();
    }
    KEEL_TRY(auto const left, repository.backups(backup.system_id));
    bool const there = std::ranges::find(left, backup.label, &Backup::label) != left.end();
    if (!there || !missing_link(backup, left).empty())
        return fail(Code::not_found, "the backup " + backup.label + " has just expired", "plan the restore again");
    return hold;
}

std::string settings_of(RestoreTo const& to) { return to.directory + "/postgresql.auto.conf"; }
std::string signal_of(RestoreTo const& to) { return to.directory + "/recovery.signal"; }

}  // namespace

Result<LaidOut> lay_out(Repository const& repository, Plan const& plan, RestoreTo const& to,
                        BackupProgress const& progress, Bound const& bound) {
    LaidOut out;
    KEEL_CHECK(check_empty(to.directory));
    KEEL_TRY(out.hold, keep_from_expiry(repository, plan.backup));
    KEEL_TRY(auto const parts, find_parts(repository, plan.backup));
    KEEL_CHECK(runtime::ensure_directory(to.directory, 0700));
    if (auto status = unpack(repository, plan, parts, to, progress, bound); !status) {
        auto error = std::move(status.error());
        if (error.code == Code::corrupt && error.mend.empty())
            error.mend = "pgkeel backup verify says which backups are whole; an earlier target takes an earlier one";
        return fail(std::move(error));
    }
    for (auto const* name : {"/standby.signal", "/recovery.signal"})
        KEEL_CHECK(runtime::remove_durably(to.directory + name));
    KEEL_TRY(auto const before, runtime::read_file(settings_of(to), 16U << 20U));
    out.settings = before + std::string(kAloneMark) + kAlone + (to.beside ? kBeside : "");
    return out;
}

Status recover_to(Plan const& plan, RestoreTo const& to, LaidOut const& laid, char const* action) {
    KEEL_CHECK(runtime::write_atomically(settings_of(to), laid.settings + recovery_settings(plan, to, action), 0600));
    return runtime::write_atomically(signal_of(to), "", 0600);
}

Status end_recovery(RestoreTo const& to, LaidOut const& laid) {
    KEEL_CHECK(runtime::write_atomically(settings_of(to), laid.settings, 0600));
    return runtime::remove_durably(signal_of(to));
}

}  // namespace keel::archive
