#include "web/live.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/json.h"
#include "runtime/clock.h"

namespace keel::web {

namespace {

using cluster::Sight;

Delay delay_of(cluster::Sender const& sender, Lsn end) {
    Delay out;
    out.caught_up = sender.replay >= end;
    struct Stage {
        Lsn at;
        Duration lag;
        std::optional<double>& part;
    };
    double before = 0;
    for (auto const& stage : std::array<Stage, 3>{{{sender.write, sender.write_lag, out.network},
                                                   {sender.flush, sender.flush_lag, out.flush},
                                                   {sender.replay, sender.replay_lag, out.apply}}}) {
        // A stage that has all there is lags by nothing, whatever the server measured when it last had work.
        if (stage.at < end && stage.lag < Duration{}) break;
        double const lag = stage.at >= end ? 0 : to_seconds(stage.lag);
        stage.part = std::max(0.0, lag - before);
        before = std::max(before, lag);
    }
    return out;
}

std::map<std::string, Delay> delays_of(Sight const& sight) {
    std::map<std::string, Delay> out;
    if (sight.seen.server != cluster::Server::primary || !sight.record) return out;
    for (auto const& sender : sight.seen.senders) {
        auto const member = sight.record->members.find(sender.node);
        if (member != sight.record->members.end()) out[member->second.name] = delay_of(sender, sight.seen.flush);
    }
    return out;
}

}  // namespace

Scene scene_of(Sight const& sight, Counters const& counters, Guest const& guest) {
    return {
        cluster::status_of(sight), delays_of(sight), counters.failover_seconds, sight.vitals, guest.who, guest.role};
}

std::string essence_of(Scene const& scene) {
    Scene still = scene;
    still.status.unix_ms = 0;
    still.status.lease_ms.reset();
    still.delays.clear();
    still.vitals.reset();
    if (auto& backup = still.status.backup) {
        backup->archive.unix_ms = 0;
        backup->archive.archived_to = {};
        backup->lag_bytes.reset();
        backup->standing_seconds = 0;
        for (auto& job : backup->jobs) job.overdue_seconds = 0;
    }
    for (auto& member : still.status.members) {
        member.heard_ms_ago = 0;
        member.flush = member.replay = {};
        member.lag_bytes.reset();
        member.lag_seconds.reset();
    }
    return json::write(still);
}

std::string event_text(std::string const& name, std::string const& json) {
    return fmt::format("event: {}\ndata: {}\n\n", name, json);
}

std::string Teller::next(Scene scene, std::vector<cluster::HistoryEvent> const& history, Instant now) {
    std::string text;
    auto essence = essence_of(scene);
    if (essence != essence_ || now - told_ >= kTellEvery) {
        text = event_text("status", json::write(scene));
        essence_ = std::move(essence);
        told_ = now;
    }
    std::vector<cluster::HistoryEvent> fresh;
    for (auto const& event : history) {
        if (event.number > history_) fresh.push_back(event);
    }
    if (!fresh.empty()) {
        history_ = fresh.back().number;
        text += event_text("history", json::write(fresh));
    }
    return text;
}

std::string Teller::next(alert::Listing listing) {
    auto const now_ms = std::exchange(listing.now_ms, 0);
    auto still = json::write(listing);
    if (std::exchange(alerts_, still) == still) return {};
    listing.now_ms = now_ms;
    return event_text("alerts", json::write(listing));
}

std::string Teller::next(std::vector<cluster::KeptBackup> const& kept) {
    auto text = json::write(kept);
    if (text == kept_) return {};
    kept_ = std::move(text);
    return event_text("kept", kept_);
}

std::string Teller::next_proxy(std::string glance) {
    if (proxy_ == glance) return {};
    proxy_ = std::move(glance);
    return event_text("proxy", proxy_->empty() ? "null" : *proxy_);
}

runtime::Task<void> follow(Desk const& desk, runtime::HttpStream& out, std::string hello,
                           std::function<Result<Guest>(Sight const&)> guest) {
    auto const changed = desk.watch();
    Teller teller;
    Instant rest_told;
    std::string text = "retry: 1000\n\n" + event_text("hello", hello);
    std::vector<cluster::HistoryEvent> const none;
    for (;;) {
        auto const sight = desk.look();
        auto const who = guest(sight);
        if (!who) {
            boost::json::object const why{{"error", who.error().text}, {"mend", who.error().mend}};
            (void)co_await out.write(text + event_text("bye", boost::json::serialize(why)));
            co_return;
        }
        text += teller.next(scene_of(sight, desk.counters(), *who), sight.record ? sight.record->history : none,
                            sight.clock.now);
        if (sight.clock.now - rest_told >= kTellEvery) {
            rest_told = sight.clock.now;
            if (desk.alerts) text += teller.next(desk.alerts());
            if (desk.proxy_glance) text += teller.next_proxy(desk.proxy_glance());
            if (desk.kept_backups && sight.backup) text += teller.next(desk.kept_backups());
        }
        if (!text.empty() && !co_await out.write(std::exchange(text, {}))) co_return;
        (void)co_await changed->wait_for(kLookEvery);
    }
}

}  // namespace keel::web
