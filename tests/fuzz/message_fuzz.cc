// What nodes tell each other about leadership.
#include "cluster/messages.h"
#include "fuzz.h"

namespace keel::fuzz {

std::vector<std::string> seeds() {
    using namespace cluster;
    Heartbeat beat;
    beat.sequence = 3;
    beat.state = State::primary;
    beat.flush = Lsn{0x3000148};
    Grant grant;
    grant.epoch = Epoch{5};
    grant.vote = grant.fenced = true;
    grant.timeline = Timeline{2};
    Promised promised;
    promised.epoch = Epoch{4};
    promised.granted = true;
    std::vector<std::string> out;
    for (Message const& message : {Message{beat}, Message{Renew{Epoch{4}, 1500us, 1500ms}}, Message{promised},
                                   Message{Revoke{Epoch{5}, true}}, Message{grant}, Message{Release{Epoch{4}}}}) {
        out.push_back(encode(message));
    }
    return out;
}

void eat(std::string_view bytes) {
    auto const message = cluster::decode_message(bytes);
    if (!message) return;
    auto const text = cluster::encode(*message);
    auto const again = cluster::decode_message(text);
    must(again.has_value() && cluster::encode(*again) == text);
}

}  // namespace keel::fuzz
