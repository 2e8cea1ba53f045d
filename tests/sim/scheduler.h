// Virtual time: tasks ordered by (time, order of scheduling), run one after another.
#pragma once

#include <cstddef>
#include <deque>
#include <new>
#include <queue>
#include <type_traits>
#include <utility>
#include <vector>

#include "rng.h"

namespace keel::sim {

// A callable kept in place: scheduling is the hottest path of the simulator.
class Task {
  public:
    Task() = default;
    template <class F>
    void set(F&& function) {
        using Body = std::decay_t<F>;
        static_assert(sizeof(Body) <= sizeof(bytes_) && alignof(Body) <= alignof(std::max_align_t));
        ::new (static_cast<void*>(bytes_)) Body(std::forward<F>(function));
        call_ = [](void* body) {
            auto* self = std::launder(static_cast<Body*>(body));
            Body moved(std::move(*self));
            self->~Body();
            moved();
        };
        drop_ = [](void* body) { std::launder(static_cast<Body*>(body))->~Body(); };
    }
    void run() {
        auto* call = call_;
        call_ = nullptr;
        call(bytes_);
    }
    Task(Task const&) = delete;
    Task& operator=(Task const&) = delete;
    ~Task() {
        if (call_ != nullptr) drop_(bytes_);
    }

  private:
    void (*call_)(void*) = nullptr;
    void (*drop_)(void*) = nullptr;
    alignas(std::max_align_t) unsigned char bytes_[80];
};

class Scheduler {
  public:
    Time now() const { return now_; }

    template <class F>
    void at(Time when, F&& function) {
        std::uint32_t slot = 0;
        if (free_.empty()) {
            slot = static_cast<std::uint32_t>(tasks_.size());
            tasks_.emplace_back();
        } else {
            slot = free_.back();
            free_.pop_back();
        }
        tasks_[slot].set(std::forward<F>(function));
        queue_.push({when < now_ ? now_ : when, order_++, slot});
    }
    template <class F>
    void after(Time delay, F&& function) {
        at(now_ + delay, std::forward<F>(function));
    }

    // Runs the next task; false when none is due up to `until` (then it is `until`).
    bool step(Time until) {
        if (queue_.empty() || queue_.top().when > until) {
            now_ = until;
            return false;
        }
        Entry const entry = queue_.top();
        queue_.pop();
        now_ = entry.when;
        tasks_[entry.slot].run();
        free_.push_back(entry.slot);
        return true;
    }
    std::uint64_t steps() const { return order_; }

  private:
    struct Entry {
        Time when;
        std::uint64_t order;
        std::uint32_t slot;
        bool operator<(Entry const& other) const {
            return when != other.when ? when > other.when : order > other.order;
        }
    };
    Time now_ = 0;
    std::uint64_t order_ = 0;
    std::priority_queue<Entry> queue_;
    std::deque<Task> tasks_;
    std::vector<std::uint32_t> free_;
};

}  // namespace keel::sim
