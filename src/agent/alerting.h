// The alerts of a running agent: looks each second, tells the other data nodes, keeps the book on disk, and, where this
// node speaks for the cluster, delivers. Nothing here waits for a channel.
#pragma once

#include <atomic>

#include "agent/desk.h"
#include "alert/engine.h"
#include "alert/listing.h"
#include "peer/channel.h"
#include "runtime/blocking.h"
#include "runtime/scope.h"

namespace keel::agent {

class Alerting {
  public:
    struct Parts {
        runtime::Io* io = nullptr;
        runtime::Scope* scope = nullptr;
        Desk* desk = nullptr;
        peer::Channel* channel = nullptr;
        std::string directory;  // of the node
    };
    explicit Alerting(Parts parts);
    ~Alerting();
    Alerting(Alerting const&) = delete;
    Alerting& operator=(Alerting const&) = delete;

    // Until cancelled.
    runtime::Task<void> run();
    // alerts.toml again. What was in force stays when it cannot be used.
    Status reload();
    // What is under way is given up: the node stops.
    void stop();

    // Calls of peers; `method` begins with kAlertCall.
    runtime::Task<Result<std::string>> answer(NodeId from, std::string method, std::string argument);

    alert::Listing listing() const;
    // Carried out by the speaker, wherever it is.
    runtime::Task<Status> ask(alert::Request request);
    // By this node's own channels.
    runtime::Task<Result<std::vector<alert::TestResult>>> test(std::string channel);

    struct Mail;

  private:
    struct Heard {
        std::vector<alert::Condition> conditions;
        std::string channels;
        Instant when;
    };

    struct Ahead {
        double seconds = 0;
        Instant when;
    };

    Status load();
    void look();
    alert::Look gather(cluster::Sight const& sight, cluster::ClusterStatus const& status) const;
    void judge_deliveries(alert::Look& look) const;
    void judge_clocks(cluster::ClusterStatus const& status, Instant now, alert::Look& look) const;
    void judge_channels(cluster::ClusterStatus const& status, alert::Look& look) const;
    void receive(NodeId const& from, alert::Report report);
    void tell_peers(cluster::Sight const& sight);
    runtime::Task<void> report_to(NodeId id, std::string text);
    void keep();
    void deliver();
    runtime::Task<void> send(std::shared_ptr<Mail> mail, alert::Parcel parcel);
    runtime::Task<alert::Verdict> attempt(std::shared_ptr<Mail> mail, alert::Parcel parcel,
                                          std::vector<alert::Alert> active);
    std::vector<alert::Alert> active() const;
    alert::Parcel label(alert::Parcel parcel) const;
    Status carry_out(alert::Request const& request);
    std::int64_t now_ms() const;

    Parts parts_;
    alert::Settings settings_;
    std::string problem_;  // of alerts.toml
    alert::Book book_;
    std::uint64_t adopted_ = 0;  // how often the book was replaced by a peer's
    std::vector<alert::Condition> own_;
    std::vector<alert::Alert> told_;  // see alert::Report
    std::map<NodeId, Heard> heard_;
    std::map<NodeId, Ahead> ahead_;  // clocks of the others, against ours
    std::map<NodeId, bool> telling_;
    std::map<std::string, std::shared_ptr<Mail>> mails_;  // by channel
    std::map<NodeId, std::string> told_to_;               // the last report that it took
    Instant reported_;
    std::int64_t planned_for_ms_ = 0;
    bool speaks_ = false;
    bool keeping_ = false, keep_again_ = false;
    Instant keeping_since_;
    std::int64_t unix_base_ms_ = 0;
    std::atomic<bool> stop_ = false;
    runtime::Worker disk_;
    runtime::Event wake_;
};

inline constexpr char const* kAlertCall = "alert.";

}  // namespace keel::agent
