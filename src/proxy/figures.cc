#include "proxy/figures.h"

#include <algorithm>
#include <numeric>

namespace keel::proxy {

void Histogram::add(Duration took) {
    auto const at = std::ranges::lower_bound(kBounds, took);
    ++buckets[static_cast<std::size_t>(at - kBounds.begin())];
    sum += took;
}

std::uint64_t Histogram::count() const { return std::accumulate(buckets.begin(), buckets.end(), std::uint64_t{0}); }

namespace {

template <class Change>
void change(Histogram& to, Histogram const& by, Change each) {
    for (std::size_t i = 0; i < to.buckets.size(); ++i) each(to.buckets[i], by.buckets[i]);
    each(to.sum, by.sum);
}

template <class Change>
void change(Counts& to, Counts const& by, Change each) {
    each(to.transactions, by.transactions);
    each(to.queries, by.queries);
    each(to.bytes_received, by.bytes_received);
    each(to.bytes_sent, by.bytes_sent);
    change(to.transactions_took, by.transactions_took, each);
    change(to.queries_took, by.queries_took, each);
    change(to.waits, by.waits, each);
}

constexpr auto kAdd = [](auto& to, auto by) { to += by; };
constexpr auto kSubtract = [](auto& to, auto by) { to -= by; };

}  // namespace

Counts& Counts::operator+=(Counts const& other) {
    change(*this, other, kAdd);
    return *this;
}

Counts& Counts::operator-=(Counts const& other) {
    change(*this, other, kSubtract);
    return *this;
}

// PostgreSQL manual, appendix A.
constinit std::array<std::string_view, Errors::kClasses> const Errors::kKnown = {
    "00", "01", "02", "03", "08", "09", "0A", "0B", "0F", "0L", "0P", "0Z", "20", "21", "22",
    "23", "24", "25", "26", "27", "28", "2B", "2D", "2F", "34", "38", "39", "3B", "3D", "3F",
    "40", "42", "44", "53", "54", "55", "57", "58", "72", "F0", "HV", "P0", "XX"};

void Errors::add(std::string_view sqlstate) {
    auto const at = std::ranges::find(kKnown, sqlstate.substr(0, 2));
    ++counts_[static_cast<std::size_t>(at - kKnown.begin())];
}

std::map<std::string, std::uint64_t> Errors::by_class() const {
    std::map<std::string, std::uint64_t> out;
    for (std::size_t i = 0; i < counts_.size(); ++i) {
        if (counts_[i] > 0) out[i < kClasses ? std::string(kKnown[i]) : "other"] = counts_[i];
    }
    return out;
}

namespace {

// How long a name may become where it is shown: quotes are escaped, and what is no text is shown by its bytes.
std::size_t shown_size(std::string_view name) {
    std::size_t out = 0;
    for (char const c : name)
        out += static_cast<unsigned char>(c) >= 0x80 ? 5 : c == '"' || c == '\\' || c == '\n' ? 2 : 1;
    return out;
}

}  // namespace

Counts& Figures::of(std::string const& database, std::string const& user) {
    if (auto const known = pools.find({database, user}); known != pools.end()) return known->second;
    auto const size = shown_size(database) + shown_size(user);
    if (pools.size() >= kPoolsMost || names_ + size > kNamesMost || database == kOther) return other;
    names_ += size;
    return pools[{database, user}];
}

Counts Figures::all() const {
    Counts out = other;
    out += unsorted;
    for (auto const& [key, counts] : pools) out += counts;
    return out;
}

std::map<std::string, Counts> Figures::by_database() const {
    std::map<std::string, Counts> out;
    for (auto const& [key, counts] : pools) out[key.first] += counts;
    if (other.waits.count() > 0) out[kOther] += other;
    return out;
}

void Periods::turn(Figures const& figures, Instant now) {
    if (marked_ != Instant{} && now - marked_ < kPeriod) return;
    auto next = figures.by_database();
    if (marked_ != Instant{}) {
        length_ = now - marked_;
        last_.clear();
        for (auto const& [database, counts] : next) {
            auto const before = mark_.find(database);
            auto one = counts;
            if (before != mark_.end()) one -= before->second;
            last_[database] = one;
        }
    }
    mark_ = std::move(next);
    marked_ = now;
}

Counts const* Periods::find(std::string const& database) const {
    auto const known = last_.find(database);
    return known == last_.end() ? nullptr : &known->second;
}

Glance glance_of(Snapshot const& now, std::int64_t unix_ms) {
    Glance out;
    out.unix_ms = unix_ms;
    out.started_unix_ms = now.started_unix_ms;
    out.pools = now.pools.size();
    out.clients_max = now.clients_max;
    out.clients_idle = now.clients_logging_in + now.clients_console;
    for (auto const& pool : now.pools) {
        out.clients_active += pool.clients_active;
        out.clients_waiting += pool.clients_waiting;
        out.clients_idle += pool.clients_idle;
        out.servers_active += pool.servers_active;
        out.servers_idle += pool.servers_idle;
        out.servers_opening += pool.servers_opening;
        out.longest_wait_seconds = std::max(out.longest_wait_seconds, to_seconds(pool.longest_wait));
    }
    out.queries = now.all.queries;
    out.transactions = now.all.transactions;
    for (auto const bound : Histogram::kBounds) out.bounds_seconds.push_back(to_seconds(bound));
    out.queries_took.assign(now.all.queries_took.buckets.begin(), now.all.queries_took.buckets.end());
    out.holding = now.holding;
    out.paused = now.paused;
    return out;
}

}  // namespace keel::proxy
