// Notices as people and programs read them, one form per kind of channel, and what the far side's answers mean. Pure.
#pragma once

#include <optional>

#include "alert/settings.h"

namespace keel::alert {

// Everything that one delivery says: lines of one notice, or of several that had to wait.
struct Parcel {
    std::string cluster;
    std::string cluster_id;
    std::vector<std::uint64_t> numbers;  // of the notices
    std::vector<Line> lines;             // those that the channel wants
    std::size_t more = 0;                // lines that there was no room for
    std::uint64_t dropped = 0;           // notices lost since ever
    std::int64_t now_ms = 0;
    bool test = false;  // of `pgkeel alert test`
};

// "shop: failover (critical): bela has taken over from anna" or "shop: 3 alerts, 1 resolved".
std::string subject_of(Parcel const& parcel);
std::string text_of(Parcel const& parcel);
// Names a parcel for receivers that want to know a second delivery of the same: "<cluster id>-<numbers>".
std::string id_of(Parcel const& parcel);

std::string telegram_body(Parcel const& parcel, Channel const& channel);
std::string webhook_body(Parcel const& parcel);
// A whole message (RFC 5322) with its header, lines ended by CR LF.
std::string email_message(Parcel const& parcel, Channel const& channel);
// POST /api/v2/alerts: every alert that is in force, so that it does not expire there, and those just resolved.
std::string alertmanager_body(Parcel const& parcel, std::vector<Alert> const& active);

// What came of one attempt.
struct Verdict {
    bool delivered = false;
    bool refused = false;     // the far side will never take this very message
    Duration retry_after{0};  // asked for by the far side
    std::string text;         // what went wrong, for people; no secret in it
};
// HTTP in general; `retry_after`: the header's value.
Verdict judge_http(long status, std::string_view retry_after);
// The Bot API: {"ok": false, "description": "...", "parameters": {"retry_after": 7}}.
Verdict judge_telegram(long status, std::string_view body);

}  // namespace keel::alert
