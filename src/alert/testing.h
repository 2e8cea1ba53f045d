// What tests of the engine and of the courier share.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "alert/courier.h"
#include "alert/engine.h"

namespace keel::alert {

inline constexpr std::int64_t kStart = 1'800'000'000'000;
inline constexpr std::int64_t kSecond = 1000;

struct Desk {
    Book book;
    Settings settings = standard_settings();
    Look look;

    Desk() {
        settings.channels = {channel("hook", Severity::info)};
        look.now_ms = kStart;
        look.term = 3;
        look.reign = {1, "anna", false, "", true};
        at(0);
    }
    static Channel channel(std::string name, Severity least) {
        Channel out;
        out.name = std::move(name);
        out.least = least;
        out.url = "http://localhost/";
        return out;
    }
    static Condition condition(std::string rule, std::string subject = "", Severity severity = Severity::warning) {
        return {std::move(rule), subject, subject, severity, "text"};
    }
    bool at(double second) {
        look.now_ms = kStart + static_cast<std::int64_t>(second * kSecond);
        return step(book, look, settings);
    }
    // This is so from now on, and people are told of it: at(5) is behind the hold-off of a disk.
    void fire(std::vector<Condition> conditions = {condition("disk", "anna")}) {
        look.conditions = std::move(conditions);
        at(0);
        at(5);
    }
    // "firing:disk:anna resolved:..." of every notice so far, oldest first.
    std::string told() const {
        std::string out;
        for (auto const& notice : book.outbox) {
            for (auto const& line : notice.lines)
                out += std::string(out.empty() ? "" : " ") + boost::describe::enum_to_string(line.word, "?") + ":" +
                       name_of(line.rule, line.subject);
        }
        return out;
    }
    Alert const* find(std::string const& rule) const {
        for (auto const& one : book.alerts)
            if (one.rule == rule) return &one;
        return nullptr;
    }
};

}  // namespace keel::alert
