// All write-ahead log that any node of the run ever wrote, as a tree of branches. Only one server writes to a branch
// and nobody sends what is not flushed, so a node's log is a position in the tree: a branch and an LSN.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace keel::sim {

struct Position {
    int branch = -1;
    std::uint64_t lsn = 0;
    bool operator==(Position const&) const = default;
};

struct WalBranch {
    std::uint32_t timeline = 0;
    int parent = -1;
    std::uint64_t fork = 0;  // first byte that is not the parent's
    std::uint64_t epoch = 0;
    int node = -1;  // who promoted onto it
};

class WalTree {
  public:
    int add(WalBranch branch) {
        branches_.push_back(branch);
        return static_cast<int>(branches_.size()) - 1;
    }
    WalBranch const& operator[](int branch) const { return branches_[static_cast<std::size_t>(branch)]; }
    int size() const { return static_cast<int>(branches_.size()); }

    // True when a log that ends at `have` contains the record that ends at `want`.
    bool contains(Position have, Position want) const {
        std::uint64_t limit = have.lsn;
        for (int at = have.branch; at >= 0; at = (*this)[at].parent) {
            if (at == want.branch) return want.lsn <= limit;
            limit = std::min(limit, (*this)[at].fork);
        }
        return false;
    }
    // The last point that both logs share.
    Position common(Position a, Position b) const {
        for (int at = a.branch; at >= 0; at = (*this)[at].parent) {
            std::uint64_t limit = b.lsn;
            for (int other = b.branch; other >= 0; other = (*this)[other].parent) {
                if (other == at) return {at, std::min(a.lsn, limit)};
                limit = std::min(limit, (*this)[other].fork);
            }
            a.lsn = std::min(a.lsn, (*this)[at].fork);
        }
        return {};
    }

  private:
    std::vector<WalBranch> branches_;
};

}  // namespace keel::sim
