// Alerting: parcels on their way to the channels.
#include <fmt/format.h>

#include "agent/alerting_mail.h"
#include "runtime/child.h"
#include "runtime/clock.h"
#include "runtime/log.h"

namespace keel::agent {

namespace {

namespace log = runtime::log;
using runtime::Task;

constexpr Duration kCommandLimit = 20s;
// A disk that takes no writes must not keep people from being told of it.
constexpr Duration kKeepPatience = 2s;

}  // namespace

std::vector<alert::Alert> Alerting::active() const {
    std::vector<alert::Alert> out;
    for (auto const& one : book_.alerts) {
        bool const on = one.phase == alert::Phase::firing || one.phase == alert::Phase::acknowledged;
        if (on && one.told_ms != 0) out.push_back(one);
    }
    return out;
}

alert::Parcel Alerting::label(alert::Parcel parcel) const {
    auto const& record = parts_.desk->look().record;
    if (record) {
        parcel.cluster = record->name;
        parcel.cluster_id = record->cluster_id;
    }
    return parcel;
}

void Alerting::deliver() {
    // What is not on disk yet may be forgotten, and told twice; but a disk that hangs is to be told of too.
    bool const hangs = keeping_ && runtime::boot_now() - keeping_since_ > kKeepPatience;
    if (stop_ || (keeping_ && !hangs)) return;
    for (auto const& [name, mail] : mails_) {
        if (mail->busy) continue;
        auto parcel = alert::next_parcel(book_, mail->channel, mail->courier, now_ms());
        if (!parcel) continue;
        mail->busy = true;
        parts_.scope->spawn("alert " + name,
                            [this, mail, parcel = label(*std::move(parcel))] { return send(mail, parcel); });
    }
}

Task<void> Alerting::send(std::shared_ptr<Mail> mail, alert::Parcel parcel) {
    auto const adopted = adopted_;
    auto const verdict = co_await attempt(mail, parcel, active());
    mail->busy = false;
    auto const& name = mail->channel.name;
    if (verdict.delivered)
        log::info("alert", "told by {}: {}", name, alert::subject_of(parcel));
    else
        log::warning("alert", "channel {} has not taken \"{}\": {}", name, alert::subject_of(parcel), verdict.text);
    // The numbers are those of another book now.
    if (adopted != adopted_) parcel.numbers.clear();
    auto const dropped = book_.dropped;
    if (alert::settle(book_, mail->channel, mail->courier, parcel, verdict, now_ms())) {
        keep();
        wake_.notify();
    }
    if (book_.dropped > dropped) log::error("alert", "channel {}: given up, nobody was told", name);
}

Task<alert::Verdict> Alerting::attempt(std::shared_ptr<Mail> mail, alert::Parcel parcel,
                                       std::vector<alert::Alert> active) {
    if (mail->channel.kind != alert::Kind::command)
        co_return co_await runtime::run_blocking(mail->worker,
                                                 [&] { return mail->sender.send(mail->channel, parcel, active); });
    runtime::ChildSpec spec;
    spec.argv = mail->channel.program;
    spec.input = alert::webhook_body(parcel) + "\n";
    auto const finished = co_await runtime::run_child(*parts_.io, std::move(spec), kCommandLimit);
    alert::Verdict verdict;
    verdict.delivered = finished && finished->exit.ok();
    if (!finished)
        verdict.text = to_string(finished.error());
    else if (!verdict.delivered)
        verdict.text = runtime::to_string(finished->exit) + ": " + alert::cut(finished->output, 300);
    co_return verdict;
}

Task<Result<std::vector<alert::TestResult>>> Alerting::test(std::string channel) {
    std::vector<std::shared_ptr<Mail>> chosen;
    std::vector<std::string> names;
    for (auto const& [name, mail] : mails_) {
        names.push_back(name);
        if (channel.empty() || channel == name) chosen.push_back(mail);
    }
    if (!problem_.empty()) co_return fail(Code::invalid, problem_, "correct alerts.toml, then pgkeel reload");
    if (names.empty())
        co_return fail(Code::not_found, "this node has no channel to test",
                       "describe one in " + parts_.directory + "/" + alert::kFileName + ", then pgkeel reload");
    if (chosen.empty())
        co_return fail(Code::not_found,
                       fmt::format("there is no channel \"{}\"{}", channel, config::did_you_mean(channel, names)),
                       fmt::format("the channels are {}", fmt::join(names, ", ")));
    std::vector<alert::TestResult> out;
    for (auto const& mail : chosen) {
        alert::Parcel parcel;
        parcel.test = true;
        parcel.now_ms = now_ms();
        auto const verdict = co_await attempt(mail, label(parcel), {});
        out.push_back({mail->channel.name, verdict.delivered, verdict.text});
    }
    co_return out;
}

}  // namespace keel::agent
