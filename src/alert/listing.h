// What `pgkeel alert` asks an agent, and what comes back.
#pragma once

#include "alert/courier.h"

namespace keel::alert {

struct ChannelState {
    std::string name;
    Kind kind = Kind::webhook;
    Severity least = Severity::warning;
    std::int64_t after_s = 0;   // see Channel
    std::uint64_t waiting = 0;  // notices
    std::uint64_t delivered = 0;
    std::string problem;
};
BOOST_DESCRIBE_STRUCT(ChannelState, (), (name, kind, least, after_s, waiting, delivered, problem))

struct Listing {
    std::string told_by;
    std::string speaker;  // name of who delivers; empty: nobody that this node knows
    std::string problem;  // of alerts.toml
    std::vector<ChannelState> channels;
    std::vector<Alert> alerts;
    std::vector<Silence> silences;
    std::uint64_t dropped = 0;
    std::int64_t now_ms = 0;
};
BOOST_DESCRIBE_STRUCT(Listing, (), (told_by, speaker, problem, channels, alerts, silences, dropped, now_ms))

enum class Wish { acknowledge, silence, end_silence };
BOOST_DESCRIBE_ENUM(Wish, acknowledge, silence, end_silence)

struct Request {
    Wish wish = Wish::acknowledge;
    std::string alert;       // rule, rule:subject, or all
    std::int64_t for_s = 0;  // silence
    std::string why;
    std::string who;  // set by the agent that was asked
};
BOOST_DESCRIBE_STRUCT(Request, (), (wish, alert, for_s, why, who))

struct TestRequest {
    std::string channel;  // empty: all
};
BOOST_DESCRIBE_STRUCT(TestRequest, (), (channel))
struct TestResult {
    std::string channel;
    bool delivered = false;
    std::string text;
};
BOOST_DESCRIBE_STRUCT(TestResult, (), (channel, delivered, text))

}  // namespace keel::alert
