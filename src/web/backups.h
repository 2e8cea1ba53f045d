// Backups that somebody asks for, or has made by hand, for the table in actions.cc.
#pragma once

#include "cluster/jobs.h"
#include "web/api.h"

namespace keel::web {

// POST /backup/done: work on the backups that was done on the node that is asked.
struct BackupDone {
    cluster::JobKind kind = cluster::JobKind::full;
    std::int64_t begun_unix_ms = 0;
    std::string text;
    std::map<std::string, double> figures;
};
BOOST_DESCRIBE_STRUCT(BackupDone, (), (kind, begun_unix_ms, text, figures))
runtime::Task<Result<std::string>> backup_done(Desk const& desk, runtime::HttpRequest const& request);

// POST /backup/run: for the cluster to do now.
struct BackupRun {
    cluster::JobKind kind = cluster::JobKind::full;
};
BOOST_DESCRIBE_STRUCT(BackupRun, (), (kind))
struct BackupAsked {
    std::int64_t unix_ms = 0;  // what began then or later is what was asked for
};
BOOST_DESCRIBE_STRUCT(BackupAsked, (), (unix_ms))
runtime::Task<Result<std::string>> run_backup(Desk const& desk, runtime::HttpRequest const& request);

}  // namespace keel::web
