// A repository: what the archive and the backups of database clusters have stored as objects. What is in it was written
// once and never changes:
//   <system id>/owner                              identifier of the cluster that writes here
//   <system id>/wal/<16 digits>/<segment>-<hash>.zst   complete segments; the hash is of the segment itself
//   <system id>/wal/<timeline>.history-<hash>.zst
//   <system id>/tail/<segment>/                    the beginning of a segment that is not complete (tail.h)
//   <system id>/backup/<label>/                    base.tar.zst or blocks.zst, blocklist.zst, backup_manifest, and
//                                                  backup.json last of all
// Several processes of several machines may use it at once. All calls block.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "archive/catalogue.h"
#include "archive/s3.h"
#include "archive/tail.h"

namespace keel::archive {

// Below a node's directory: Repository::claim's memory.
inline constexpr char const* kSeenRepositories = "/state/repositories";

class Repository {
  public:
    // What the section [backup] of node.toml names. Whatever is wrong with it is found here, with the mend.
    static Result<Repository> open(config::RepositorySettings const& settings, Patience patience = {});
    // How often a growing segment is stored, and the list is read. Both cost requests, and those of a cloud money.
    struct Pace {
        Duration store = 200ms;
        Duration look = 2s;
        // A repository that gives no sign for so long hangs. (A disk may be slow; what a server does is seen.)
        Duration hangs = 5s;
    };
    Pace const& pace() const { return pace_; }
    // Of every database cluster that has something here.
    Result<std::vector<std::string>> systems() const;

    // Whoever writes for the first time makes it his cluster's. conflict when it is another's: a restored copy has the
    // same system identifier, and must not continue the archive of the one that it was copied from. `memory` is a file
    // of this node with the archives that it has seen owned: one of those that has no owner is not there now, and is
    // not made anew (unavailable). A directory whose file system is not mounted looks like a new repository.
    Status claim(std::string const& system, std::string const& cluster_id, std::string const& memory) const;
    // For whoever removes something: conflict when it is another's, or nobody's yet.
    Status check_owner(std::string const& system, std::string const& cluster_id) const;

    // Create-only: the same bytes again are fine; other bytes under the same name are kept beside them, and it is a
    // conflict.
    Status put_wal(std::string const& system, std::string const& name, std::string_view bytes) const;
    // The same in three steps. The second is nearly all of the work, and asks the repository nothing.
    struct PackedWal {
        std::string name, hash;
        std::string bytes;                 // none when it is stored already
        std::vector<std::string> present;  // hashes under which something of this name is stored
    };
    Result<std::vector<std::string>> find_wal(std::string const& system, std::string const& name) const;
    Result<PackedWal> pack_wal(std::string const& name, std::string_view bytes, std::vector<std::string> present) const;
    Status store_wal(std::string const& system, PackedWal const& packed) const;
    // not_found when it is known to be absent; corrupt when it is not what was stored; conflict when there are two.
    Result<std::string> get_wal(std::string const& system, std::string const& name, std::size_t most) const;
    // The same for a segment of which there is only the beginning.
    Result<std::string> get_tail(std::string const& system, std::string const& name, std::size_t most) const;
    // `bytes` are the segment's beginning, of which everything before `from` is stored already. From 0 it takes the
    // place of all shorter pieces.
    Status put_tail(std::string const& system, std::string const& name, std::string_view bytes, std::size_t from) const;
    Status remove_tail(std::string const& system, std::string const& name) const;

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

    // It is gone from the list first, then its bytes, and kHidden last: so what is left of it can be found.
    Status remove_backup(std::string const& system, std::string const& label) const;
    // Its description while an expiry makes sure that nobody needs it (expire.h).
    static constexpr char const* kHidden = "backup.json.expiring";

    // Of one file of a backup.
    static std::string backup_object(std::string const& system, std::string const& label, std::string const& file) {
        return system + "/backup/" + label + "/" + file;
    }
    // Of one file of a dump.
    static std::string dump_object(std::string const& system, std::string const& label, std::string const& file) {
        return system + "/dump/" + label + "/" + file;
    }
    Objects const& objects() const { return *objects_; }

  private:
    using Histories = std::map<std::string, postgres::History>;

    explicit Repository(std::shared_ptr<Objects const> objects)
        : objects_(std::move(objects)), histories_(std::make_shared<Histories>()) {}
    Result<std::string> unpack(std::string const& object, std::string const& hash, std::size_t most) const;
    Result<std::vector<TailPiece>> tail_pieces(std::string const& system, std::string const& name) const;
    Result<std::string> join_tail(std::string const& system, std::string const& name, std::size_t most) const;
    Status add_history(std::string const& object, std::string const& hash, Listing& out) const;

    std::shared_ptr<Objects const> objects_;
    Pace pace_;
    std::shared_ptr<Histories> histories_;  // by object: read once
};

// Records at the end of what there is: the last segments are read until one has a record, and a commit.
Result<Records> records_at_end(Repository const& repository, std::string const& system, Origin const& origin,
                               Lineage const& lineage, Range const& range);

}  // namespace keel::archive
