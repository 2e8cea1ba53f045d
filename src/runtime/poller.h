// An epoll set for the path of data that is too hot for coroutines: level-triggered, one thread, and a letter box
// through which other threads hand it work.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "base/result.h"
#include "base/time.h"

namespace keel::runtime {

class Poller {
  public:
    struct Ready {
        bool read = false;  // also at the end of the stream and after an error: the next read says which
        bool write = false;
    };
    class Handler {
      public:
        virtual ~Handler() = default;
        virtual void on_ready(Ready ready) = 0;
    };

    static Result<std::unique_ptr<Poller>> make();
    ~Poller();
    Poller(Poller const&) = delete;
    Poller& operator=(Poller const&) = delete;

    // The handler must live until the wait() is over in which it was removed: keep() takes what may still be named.
    Status add(int descriptor, Handler& handler, Ready interest);
    void change(int descriptor, Handler& handler, Ready interest);
    void remove(int descriptor);
    // Destroyed when the wait() that runs now is over.
    void keep(std::shared_ptr<void> object) { kept_.push_back(std::move(object)); }

    // Waits for events, `limit` at most, and calls their handlers.
    void wait(Duration limit);
    // When the events came that are being handled.
    Instant woke() const { return woke_; }
    // From any thread: `work` runs in wait().
    void post(std::function<void()> work);

  private:
    Poller() = default;
    void run_posted();

    int set_ = -1;
    int bell_ = -1;
    Instant woke_{};
    std::mutex mutex_;
    std::vector<std::function<void()>> posted_;  // guarded
    std::vector<std::shared_ptr<void>> kept_;
};

}  // namespace keel::runtime
