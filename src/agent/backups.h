// The backups of a running agent: as the leader it gives the work that is due to a member, as that member it has a
// child process do it, and it watches what the archiver says. Nothing here waits for a repository.
#pragma once

#include <optional>

#include "agent/driver.h"
#include "cluster/jobs.h"
#include "runtime/blocking.h"
#include "runtime/child.h"
#include "runtime/scope.h"

namespace keel::agent {

class Desk;

class Backups {
  public:
    struct Parts {
        runtime::Io* io = nullptr;
        runtime::Scope* scope = nullptr;
        Desk* desk = nullptr;
        Driver const* driver = nullptr;
        Supervisor* supervisor = nullptr;
    };
    explicit Backups(Parts parts);
    ~Backups();
    Backups(Backups const&) = delete;
    Backups& operator=(Backups const&) = delete;

    // Until cancelled. Without a repository it only sleeps.
    runtime::Task<void> run();
    // None without a repository.
    std::optional<cluster::BackupStatus> status() const;
    // What the repository held when the archiver last looked, oldest first.
    std::vector<cluster::KeptBackup> const& kept() const { return kept_; }

  private:
    struct Own;  // work of this node

    runtime::Task<void> read_files();
    void watch_archive();
    cluster::JobView view_of(cluster::Record const& record) const;
    runtime::Task<void> mend_hole(cluster::Record const& record);
    runtime::Task<void> lead();
    void work();
    runtime::Task<void> do_work(std::shared_ptr<Own> own);
    runtime::Task<void> report(Own const& own, bool good, std::string text, std::map<std::string, double> figures);
    std::vector<std::string> words_of(cluster::JobKind kind) const;

    Parts parts_;
    std::shared_ptr<Own> own_;
    Instant begun_;
    cluster::ArchiveReport archive_;
    std::vector<cluster::KeptBackup> kept_;
    std::string zone_name_ = "UTC", trouble_;
    Zone zone_;
    Instant read_due_;
    // The archive last had all WAL up to `caught_up_to_` by `caught_up_`.
    Lsn caught_up_to_;
    Instant caught_up_, hole_since_;
    bool primary_ = false;
    std::int64_t vitals_ms_ = 0;
    std::optional<std::uint64_t> lag_bytes_;
    runtime::Worker disk_;
};

// What a command of `pgkeel backup` prints last when it is run with --as-job.
struct JobOutcome {
    std::string text;
    std::map<std::string, double> figures;
};
BOOST_DESCRIBE_STRUCT(JobOutcome, (), (text, figures))

// Written by the archiver, below the node's directory.
inline constexpr char const* kArchiveReport = "/state/archive.json";

}  // namespace keel::agent
