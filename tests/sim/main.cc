// pgkeel_sim --seed N [--verbose] | --seeds A..B [--jobs J]: runs simulated clusters and says what they covered.
#include <fmt/format.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <thread>

#include "campaign.h"

namespace {

using namespace keel::sim;

int usage() {
    fmt::print(stderr,
               "pgkeel_sim --seed N [--verbose]\n"
               "pgkeel_sim --seeds A..B [--jobs J] [--keep-going] [--defect NAME]\n");
    return 2;
}

struct Options {
    std::uint64_t first = 1;
    std::uint64_t last = 1000;
    unsigned jobs = 1;
    bool single = false;
    bool verbose = false;
    bool keep_going = false;
    std::string defect;
};

bool parse(int argc, char** argv, Options& options) {
    for (int i = 1; i < argc; ++i) {
        std::string const name = argv[i];
        auto const value = [&]() -> std::string { return i + 1 < argc ? argv[++i] : ""; };
        if (name == "--seed") {
            options.first = options.last = std::strtoull(value().c_str(), nullptr, 10);
            options.single = true;
        } else if (name == "--seeds") {
            std::string const range = value();
            auto const dots = range.find("..");
            if (dots == std::string::npos) return false;
            options.first = std::strtoull(range.c_str(), nullptr, 10);
            options.last = std::strtoull(range.c_str() + dots + 2, nullptr, 10);
        } else if (name == "--jobs") {
            options.jobs = static_cast<unsigned>(std::strtoul(value().c_str(), nullptr, 10));
        } else if (name == "--verbose") {
            options.verbose = true;
        } else if (name == "--keep-going") {
            options.keep_going = true;
        } else if (name == "--defect") {
            options.defect = value();
        } else {
            return false;
        }
    }
    return true;
}

int run_range(Options const& options) {
    std::atomic<std::uint64_t> next = options.first;
    std::atomic<std::uint64_t> done = 0;
    std::atomic<unsigned> failed = 0;
    std::mutex guard;
    Counts total;
    auto const began = std::chrono::steady_clock::now();
    auto const work = [&] {
        Counts mine;
        for (std::uint64_t seed = next++; seed <= options.last; seed = next++) {
            if (failed > 0 && !options.keep_going) break;
            Outcome const outcome = run_seed(seed, options.defect);
            mine.add(outcome.counts);
            ++done;
            if (!outcome.failure) continue;
            std::lock_guard const lock(guard);
            if (failed++ > 0 && !options.keep_going) break;
            fmt::print("{}\n", options.keep_going ? headline(seed, *outcome.failure) : retell(seed, options.defect));
            std::fflush(stdout);
        }
        std::lock_guard const lock(guard);
        total.add(mine);
    };
    std::vector<std::thread> threads;
    for (unsigned i = 1; i < options.jobs; ++i) threads.emplace_back(work);
    work();
    for (auto& thread : threads) thread.join();
    double const seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
    fmt::print("{}", summary(total, done, seconds));
    if (failed > 0) fmt::print("FAILED: {} of {} seeds\n", failed.load(), done.load());
    return failed > 0 ? 1 : 0;
}

}  // namespace

int main(int argc, char** argv) {
    Options options;
    if (!parse(argc, argv, options)) return usage();
    if (!options.single) return run_range(options);
    if (options.verbose) {
        Outcome const outcome = run_seed(options.first, options.defect, true);
        if (outcome.failure) fmt::print("{}\n", headline(options.first, *outcome.failure));
        return outcome.failure ? 1 : 0;
    }
    Outcome const outcome = run_seed(options.first, options.defect);
    fmt::print("{}", summary(outcome.counts, 1, 0));
    if (outcome.failure) fmt::print("{}\n", retell(options.first, options.defect));
    return outcome.failure ? 1 : 0;
}
