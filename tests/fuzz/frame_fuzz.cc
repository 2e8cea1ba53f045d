// What comes over the peer channel: frames, the handshake, calls and answers.
#include "fuzz.h"
#include "peer/frame.h"

namespace keel::fuzz {

std::vector<std::string> seeds() {
    using namespace peer;
    return {make_frame(Topic::hello, 0, write_hello({NodeId{"a"}, 7, "c0ffee", kProtocol})),
            make_frame(Topic::refused, 0, write_refused({"duplicate", "another process has this identity"})),
            make_frame(Topic::call, 3, write_call("status", "{}")),
            make_frame(Topic::answer, 3, write_answer("{}")) + make_frame(Topic::cluster, 0, "{}"),
            make_frame(Topic::answer, 4, write_answer(fail(Code::timeout, "late", "wait")))};
}

// Reads frame after frame, as the channel does, and every body in every way.
void eat(std::string_view bytes) {
    while (true) {
        auto const next = peer::next_frame(bytes);
        auto const* frame = std::get_if<peer::Frame>(&next);
        if (frame == nullptr) {
            if (auto const* more = std::get_if<peer::NeedMore>(&next)) must(more->bytes > bytes.size());
            return;
        }
        must(frame->size >= peer::kFrameHead && frame->size <= bytes.size());
        must(frame->body.size() + peer::kFrameHead == frame->size);
        (void)peer::parse_hello(frame->body);
        (void)peer::parse_refused(frame->body);
        (void)peer::parse_call(frame->body);
        (void)peer::parse_answer(frame->body);
        bytes.remove_prefix(frame->size);
    }
}

}  // namespace keel::fuzz
