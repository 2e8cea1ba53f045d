#include "web/backups.h"

#include <algorithm>

#include "base/json.h"
#include "web/access.h"
#include "web/actions.h"

namespace keel::web {

namespace {
constexpr std::size_t kTextMost = 600;
constexpr std::size_t kFiguresMost = 16;
}  // namespace

runtime::Task<Result<std::string>> backup_done(Desk const& desk, runtime::HttpRequest const& request) {
    auto const body = json::read<BackupDone>(request.body);
    auto const sight = desk.look();
    bool const fits = body && body->text.size() <= kTextMost && body->figures.size() <= kFiguresMost &&
                      body->begun_unix_ms <= sight.clock.unix_ms;
    if (!fits) co_return fail(Code::invalid, "the body does not fit", "send JSON, as the command line does");
    cluster::JobEnd const end{body->begun_unix_ms, sight.clock.unix_ms, sight.self, body->text, body->figures};
    auto const record = co_await desk.change([&](cluster::Record& now) -> Status {
        cluster::end_job(now, body->kind, end, true);
        return {};
    });
    if (!record) co_return fail(record.error());
    co_return json::write(Done{"it is on record", record->revision, 0});
}

runtime::Task<Result<std::string>> run_backup(Desk const& desk, runtime::HttpRequest const& request) {
    auto const body = json::read<BackupRun>(request.body);
    if (!body) co_return fail(Code::invalid, "the body does not fit", "send JSON, as the command line does");
    auto const sight = desk.look();
    if (!sight.backup)
        co_return fail(Code::invalid, "this node has no repository for backups",
                       "set repository in the section [backup] of node.toml, on every data node");
    bool const known = std::ranges::any_of(
        sight.backup->jobs, [&](cluster::JobStatus const& job) { return job.kind == cluster::name_of(body->kind); });
    if (!known)
        co_return fail(Code::invalid, "this node has no other repository to copy into",
                       "add a section [backup.copies.<name>] to node.toml, on every data node");
    auto const guest = identify(sight, request);
    cluster::Caller const caller{sight.self, guest ? guest->who : "nobody", sight.clock.unix_ms};
    auto const record =
        co_await desk.change([&](cluster::Record& now) { return cluster::ask_job(now, body->kind, caller); });
    if (!record) co_return fail(record.error());
    co_return json::write(BackupAsked{caller.unix_ms});
}

}  // namespace keel::web
