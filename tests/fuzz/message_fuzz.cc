// What nodes tell each other about leadership.
#include "cluster/messages.h"
#include "fuzz.h"

namespace keel::fuzz {

std::vector<std::string> seeds() {
    using namespace cluster;
    return {encode(Message{Heartbeat{.sequence = 3, .state = State::primary, .flush = Lsn{0x3000148}}}),
            encode(Message{Renew{.epoch = Epoch{4}, .sent = 1500us}}),
            encode(Message{Promised{.epoch = Epoch{4}, .granted = true}}),
            encode(Message{Revoke{.epoch = Epoch{5}}}),
            encode(Message{Grant{.epoch = Epoch{5}, .vote = true, .fenced = true, .timeline = Timeline{2}}}),
            encode(Message{Release{.epoch = Epoch{4}}})};
}

void eat(std::string_view bytes) {
    auto const message = cluster::decode_message(bytes);
    if (!message) return;
    auto const text = cluster::encode(*message);
    auto const again = cluster::decode_message(text);
    must(again.has_value() && cluster::encode(*again) == text);
}

}  // namespace keel::fuzz
