// One channel of alerts on a running node. Private to the sources of Alerting.
#pragma once

#include "agent/alerting.h"
#include "notify/sender.h"

namespace keel::agent {

// One channel while it is configured: its thread, its connection, and what became of the last deliveries. A delivery
// that is under way keeps it.
struct Alerting::Mail {
    Mail(alert::Channel given, std::atomic<bool> const& stop)
        : channel(std::move(given)), sender(stop), worker("alert " + channel.name) {}
    alert::Channel channel;
    alert::Courier courier;
    notify::Sender sender;
    runtime::Worker worker;
    bool busy = false;
};

}  // namespace keel::agent
