// The record in this process's memory: for tests of what stands above a store.
#pragma once

#include <optional>

#include "consensus/store.h"

namespace keel::consensus {

class Memory final : public Store {
  public:
    // `post` runs a function soon, not from inside the call.
    explicit Memory(std::function<void(std::function<void()>)> post) : post_(std::move(post)) {}

    void read(Answer answer) override;
    void swap(std::uint64_t expected, cluster::Record record, Answer answer) override;
    void watch(Watcher watcher) override { watcher_ = std::move(watcher); }
    std::string trouble() const override { return {}; }

  private:
    std::function<void(std::function<void()>)> post_;
    std::optional<cluster::Record> record_;
    Watcher watcher_;
};

}  // namespace keel::consensus
