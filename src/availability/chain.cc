#include "availability/chain.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <map>
#include <tuple>

namespace keel::availability {

namespace {

constexpr std::uint32_t kNobody = 99;

struct State {
    std::uint32_t up = 0;     // bit per machine
    std::uint32_t whole = 0;  // servers that have every acknowledged commit, also those that are down
    std::uint32_t leader = kNobody;
    auto operator<=>(State const&) const = default;
};

struct Step {
    std::size_t from = 0;
    double rate = 0;
};

class Space {
  public:
    explicit Space(Chain const& chain) : chain_(chain), servers_((1U << chain.servers) - 1U) {
        State first;
        first.up = (1U << chain.parts.size()) - 1U;
        first.whole = servers_;
        explore(settled(first));
    }

    Steady solve() {
        auto const share = balance();
        Steady out;
        out.writes = 0;
        for (std::size_t i = 0; i < states_.size(); ++i)
            if (takes_writes(states_[i])) out.writes += share[i];
        for (std::size_t to = 0; to < states_.size(); ++to) {
            for (auto const& step : into_[to]) {
                auto const& before = states_[step.from];
                double const flow = share[step.from] * step.rate;
                if (!takes_writes(before)) continue;
                if (!takes_writes(states_[to]))
                    out.outages_hour += flow;
                else if (before.leader != states_[to].leader)
                    out.leader_breaks_hour += flow;
            }
        }
        return out;
    }

  private:
    bool has_majority(State const& state) const {
        auto const votes = std::popcount(state.up & ((1U << chain_.votes) - 1U));
        return static_cast<std::uint32_t>(votes) >= chain_.votes / 2 + 1;
    }
    bool takes_writes(State const& state) const {
        auto const up = static_cast<std::uint32_t>(std::popcount(state.up & servers_));
        return state.leader != kNobody && up >= 1 + chain_.standbys_needed;
    }
    // Elects, and lets whoever is up catch up with the leader.
    State settled(State state) const {
        std::uint32_t const candidates = state.up & state.whole;
        if (!has_majority(state) || candidates == 0) {
            state.leader = kNobody;
            return state;
        }
        bool const stays = state.leader != kNobody && (state.up >> state.leader & 1U) != 0;
        if (!stays) state.leader = static_cast<std::uint32_t>(std::countr_zero(candidates));
        std::uint32_t const up = state.up & servers_;
        // While writes wait, whoever is down misses nothing.
        state.whole = takes_writes(state) ? up : state.whole | up;
        return state;
    }

    void explore(State first) {
        (void)number_of(first);
        for (std::size_t i = 0; i < states_.size(); ++i) {
            for (std::size_t part = 0; part < chain_.parts.size(); ++part) {
                State next = states_[i];
                bool const is_up = (next.up >> part & 1U) != 0;
                double const rate = is_up ? chain_.parts[part].breaks_hour : chain_.parts[part].mends_hour;
                if (rate <= 0) continue;
                next.up ^= 1U << part;
                auto const to = number_of(settled(next));
                into_[to].push_back({i, rate});
                away_[i] += rate;
            }
        }
    }
    std::size_t number_of(State const& state) {
        auto const [at, is_new] = numbers_.emplace(state, states_.size());
        if (is_new) {
            states_.push_back(state);
            into_.emplace_back();
            away_.push_back(0);
        }
        return at->second;
    }

    // What flows into each state flows out of it: by relaxation, damped so that it cannot go round in circles.
    std::vector<double> balance() const {
        constexpr int kRoundsMax = 100'000;
        constexpr double kDamped = 0.1, kExact = 1e-11, kNothing = 1e-40;
        std::vector<double> share(states_.size(), 1.0 / static_cast<double>(states_.size()));
        for (int round = 0; round < kRoundsMax; ++round) {
            double change = 0, sum = 0;
            for (std::size_t i = 0; i < share.size(); ++i) {
                double in = 0;
                for (auto const& step : into_[i]) in += share[step.from] * step.rate;
                double const fresh = away_[i] > 0 ? in / away_[i] : share[i];
                double const next = kDamped * share[i] + (1 - kDamped) * fresh;
                if (next > kNothing) change = std::max(change, std::abs(next - share[i]) / next);
                share[i] = next;
                sum += next;
            }
            for (double& one : share) one /= sum;
            if (change < kExact) break;
        }
        return share;
    }

    Chain const& chain_;
    std::uint32_t servers_;
    std::vector<State> states_;
    std::vector<std::vector<Step>> into_;
    std::vector<double> away_;
    std::map<State, std::size_t> numbers_;
};

}  // namespace

Steady steady_state(Chain const& chain) { return Space(chain).solve(); }

}  // namespace keel::availability
