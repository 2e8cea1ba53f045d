// Prepared statements of the protocol: one shared object per text and parameter types, under a name that is never used
// twice, and what each server has of them.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace keel::proxy {

struct Prepared {
    std::uint64_t number = 0;
    std::string name;  // on servers: "keel_<number>"
    std::string body;  // of Parse behind the name: text, final zero, parameter types
    std::string_view text() const { return std::string_view(body).substr(0, body.find('\0')); }
};
using PreparedPtr = std::shared_ptr<Prepared const>;

class PreparedPool {
  public:
    PreparedPtr intern(std::string_view body);
    std::size_t size() const { return known_.size(); }

  private:
    struct Hash {
        using is_transparent = void;
        std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
    };
    std::unordered_map<std::string, std::weak_ptr<Prepared const>, Hash, std::equal_to<>> known_;
    std::uint64_t next_ = 0;
    std::size_t sweep_at_ = 1024;
};

// What one server has prepared, the least recently used first to go.
class PreparedOnServer {
  public:
    // True when it is there; it counts as used now.
    bool use(std::uint64_t number);
    // Adds it; what has to be closed for it, if anything.
    void add(PreparedPtr statement, std::size_t most, std::vector<PreparedPtr>& closed);
    // One that was to be closed, and is still there.
    void put_back(PreparedPtr statement);
    void remove(std::uint64_t number);
    void clear();
    std::size_t size() const { return index_.size(); }

  private:
    std::list<PreparedPtr> order_;  // the oldest in front
    std::unordered_map<std::uint64_t, std::list<PreparedPtr>::iterator> index_;
};

}  // namespace keel::proxy
