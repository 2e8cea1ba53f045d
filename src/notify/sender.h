// Delivers one parcel by one channel over the network. Blocking, bounded; for a thread of its own.
#pragma once

#include <atomic>
#include <memory>

#include "alert/message.h"
#include "base/secret.h"

namespace keel::notify {

// The first line of a file that only its owner may read.
Result<Secret> read_secret(std::string const& path);

class Sender {
  public:
    // `stop`: what is under way is given up soon after it became true.
    explicit Sender(std::atomic<bool> const& stop);
    ~Sender();
    Sender(Sender const&) = delete;
    Sender& operator=(Sender const&) = delete;

    // Every kind but command. At most 20 s. The secret is read for each delivery, so that a new one needs no restart.
    alert::Verdict send(alert::Channel const& channel, alert::Parcel const& parcel,
                        std::vector<alert::Alert> const& active);

    struct Handle;

  private:
    std::unique_ptr<Handle> handle_;
};

}  // namespace keel::notify
