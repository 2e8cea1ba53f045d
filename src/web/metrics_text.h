// Prometheus text while it is put together, and its parts. Private to the sources of metrics.
#pragma once

#include <fmt/format.h>

#include <iterator>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "alert/listing.h"
#include "cluster/status.h"

namespace keel::web {

using Labels = std::vector<std::pair<std::string, std::string>>;

inline std::string escape(std::string_view text) {
    std::string out;
    for (char const c : text) {
        if (c == '\\' || c == '"')
            out += {'\\', c};
        else if (c == '\n')
            out += "\\n";
        else
            out += c;
    }
    return out;
}

// One family after the other, each with its HELP and TYPE once.
class Text {
  public:
    void family(char const* name, char const* type, char const* help) {
        name_ = name;
        out_ += fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, help, name, type);
    }
    template <class Number>
    void sample(Number value, Labels const& labels = {}) {
        std::string inside;
        for (auto const& [key, text] : labels)
            inside += fmt::format("{}{}=\"{}\"", inside.empty() ? "" : ",", key, escape(text));
        out_ +=
            inside.empty() ? fmt::format("{} {}\n", name_, value) : fmt::format("{}{{{}}} {}\n", name_, inside, value);
    }
    // With labels that are written and escaped already.
    template <class Number>
    void sample_of(Number value, std::string_view labels) {
        fmt::format_to(std::back_inserter(out_), "{}{{{}}} {}\n", name_, labels, value);
    }
    // Of a histogram: _bucket, _sum, _count.
    template <class Number>
    void part(char const* suffix, Number value, std::string_view labels) {
        out_ += labels.empty() ? fmt::format("{}{} {}\n", name_, suffix, value)
                               : fmt::format("{}{}{{{}}} {}\n", name_, suffix, labels, value);
    }
    template <class Number>
    void gauge(char const* name, char const* help, Number value) {
        family(name, "gauge", help);
        sample(value);
    }
    void counter(char const* name, char const* help, std::uint64_t value) {
        family(name, "counter", help);
        sample(value);
    }
    std::string take() { return std::move(out_); }

  private:
    std::string name_;
    std::string out_;
};

inline int flag(bool value) { return value ? 1 : 0; }
std::string member_name(cluster::Sight const& sight, NodeId const& id);

// On the leader: how far each standby is behind, in bytes and in time, by stage.
void write_senders(Text& out, cluster::Sight const& sight);
// The local server's vitals; under the names of postgres_exporter where it has them.
void write_vitals(Text& out, cluster::Sight const& sight);
// What the cluster looks like from here.
void write_cluster(Text& out, cluster::Sight const& sight);
void write_backups(Text& out, cluster::Sight const& sight);
void write_alerts(Text& out, alert::Listing const& alerts);

}  // namespace keel::web
