// A repository in a directory that every data node sees. What is in it was written once and never changes:
//   <system id>/wal/<segment>-<sha256>.zst     complete segments; <sha256> of the segment itself
//   <system id>/wal/<timeline>.history-<sha256>.zst
//   <system id>/tail/<segment>                 the beginning of a segment that is not complete, growing
//   <system id>/backup/<label>/                backup.json, backup_manifest, base.tar.zst
// Several processes of several machines may use it at once. All calls block.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "archive/catalogue.h"
#include "runtime/files.h"

namespace keel::archive {

class Repository {
  public:
    // not_found, denied, with the mend.
    static Result<Repository> open(std::string const& path);
    // Of every database cluster that has something here.
    Result<std::vector<std::string>> systems() const;

    // Create-only: the same bytes again are fine; other bytes under the same name are kept beside them, and it is a
    // conflict.
    Status put_wal(std::string const& system, std::string const& name, std::string_view bytes) const;
    // not_found when it is known to be absent; corrupt when it is not what was stored; conflict when there are two.
    Result<std::string> get_wal(std::string const& system, std::string const& name, std::size_t most) const;
    // The same for a segment of which there is only the beginning.
    Result<std::string> get_tail(std::string const& system, std::string const& name, std::size_t most) const;

    struct Listing {
        std::set<SegmentId> segments;
        std::vector<Lineage> lineages;  // of every history file, and of timeline 1
        std::map<SegmentId, std::uint64_t> tails;
        Lineage highest() const;
        // The highest timeline of which there is WAL: just after a promotion there is none yet of the new one.
        Lineage newest() const;
        // Of a timeline that was left, only what lies before the fork.
        Holdings holdings(std::uint64_t segment_bytes, Lineage const& lineage) const;
    };
    Result<Listing> list(std::string const& system, std::uint64_t segment_bytes) const;
    // Complete ones, oldest first.
    Result<std::vector<Backup>> backups(std::string const& system) const;

    std::string wal_path(std::string const& system) const { return path_ + "/" + system + "/wal"; }
    std::string tail_path(std::string const& system) const { return path_ + "/" + system + "/tail"; }
    std::string backup_path(std::string const& system, std::string const& label = {}) const {
        return path_ + "/" + system + "/backup" + (label.empty() ? "" : "/" + label);
    }

  private:
    explicit Repository(std::string path) : path_(std::move(path)) {}
    std::string path_;
};

// Records at the end of what there is: the last segments are read until one has a record, and a commit.
Result<Records> records_at_end(Repository const& repository, std::string const& system, Origin const& origin,
                               Lineage const& lineage, Range const& range);

}  // namespace keel::archive
