#include "cli/demo_play.h"

#include <fmt/format.h>

#include "runtime/clock.h"
#include "runtime/files.h"

namespace keel::cli::demo {

namespace {

constexpr Duration kLookPause = 20ms;
constexpr Duration kLoadBefore = 4s;
constexpr Duration kLoadAfter = 2s;
constexpr Duration kPatience = 60s;

Shop shop_at(Nodes const& nodes, std::string const& root) {
    Shop shop;
    shop.nodes = nodes.proxies(false);
    shop.readers = nodes.proxies(true);
    shop.passfile = root + "/shop.pass";
    return shop;
}

std::vector<Eye> eyes_of(Nodes& nodes) {
    std::vector<Eye> out;
    for (auto const& machine : nodes.machines())
        out.push_back({machine.name, runtime::HttpTarget::local(machine.directory + "/run/agent.sock")});
    return out;
}

}  // namespace

Play::Play(runtime::Io&, DemoOptions const& options, Nodes nodes, std::string root)
    : options_(options),
      root_(std::move(root)),
      nodes_(std::move(nodes)),
      watch_(eyes_of(nodes_)),
      worker_("demo"),
      shop_(shop_at(nodes_, root_)),
      load_(traffic_of(shop_)) {}

runtime::Task<Status> Play::until(std::string what, Duration limit, std::function<bool()> reached) {
    auto const give_up = runtime::boot_now() + limit;
    while (!reached()) {
        if (runtime::boot_now() > give_up) {
            co_return fail(Code::timeout, fmt::format("{} did not happen within {} s", what, to_ms(limit) / 1000),
                           "the nodes' logs are in " + root_);
        }
        co_await watch_.look();
        co_await runtime::sleep_for(kLookPause);
    }
    co_return Status{};
}

runtime::Task<Status> Play::perform() {
    for (auto step :
         {&Play::raise_cluster, &Play::open_shop, &Play::kill_primary, &Play::bring_it_back, &Play::settle}) {
        if (auto status = co_await (this->*step)(); !status) co_return status;
    }
    co_return Status{};
}

runtime::Task<Status> Play::raise_cluster() {
    watch_.say("demo", fmt::format("three nodes below {}", root_));
    auto& machines = nodes_.machines();
    if (auto made = co_await nodes_.create_first(); !made) co_return made;
    if (auto led = co_await until("the first node's leadership", kPatience, [&] { return watch_.is_whole(0); }); !led)
        co_return led;
    watch_.say(machines[0].name, fmt::format("is primary on {}:{}", machines[0].address, nodes_.ports().postgres));
    for (std::size_t i = 1; i < machines.size(); ++i) {
        if (auto made = co_await nodes_.create_next(machines[i]); !made) co_return made;
        auto joined = co_await until(machines[i].name + "'s way into the sync set", kPatience,
                                     [&] { return watch_.is_whole(i); });
        if (!joined) co_return joined;
        watch_.say(machines[i].name, "has joined, streams, and is in the sync set");
    }
    co_return Status{};
}

runtime::Task<Status> Play::open_shop() {
    Secret const password(runtime::random_hex(16));
    auto const line = fmt::format("*:*:*:{}:{}\n", shop_.user, password.reveal());
    if (auto written = runtime::write_atomically(shop_.passfile, line, 0600); !written) co_return written;
    auto const administrator = nodes_.administrator(nodes_.machines()[0]);
    auto created = co_await runtime::run_blocking(
        worker_, [this, &administrator, &password] { return create_shop(administrator, shop_, password); });
    if (!created) co_return created;
    load_.start(options_.writers, options_.readers);
    watch_.say("demo", fmt::format("the shop is open: {} connections order, {} read, all through the nodes' proxies",
                                   options_.writers, options_.readers));
    auto const begin = runtime::boot_now();
    auto served = co_await until("a first order", kPatience, [&] { return load_.acknowledged() > 0; });
    if (!served) co_return served;
    co_await runtime::sleep_for(kLoadBefore);
    double const span = to_seconds(runtime::boot_now() - begin);
    watch_.say("demo",
               fmt::format("{:.0f} orders and {:.0f} reads a second", static_cast<double>(load_.acknowledged()) / span,
                           static_cast<double>(load_.answered_reads()) / span));
    co_return Status{};
}

runtime::Task<Status> Play::kill_primary() {
    co_await watch_.look();
    auto const* before = watch_.of_leader();
    if (before == nullptr) co_return fail(Code::unavailable, "no primary is left to be killed");
    findings_.victim = before->leader;
    watch_.set_aloud(true);
    auto& victim = nodes_.machine(findings_.victim);
    findings_.killed = runtime::boot_now();
    watch_.set_zero(findings_.killed);
    findings_.processes_killed = nodes_.pull_the_plug(victim);
    watch_.say("demo", fmt::format("SIGKILL to all {} processes of {}, the primary", findings_.processes_killed,
                                   findings_.victim));
    auto served = co_await until("the next acknowledged write", kPatience, [&] {
        auto const* now = watch_.of_leader();
        return now != nullptr && now->leader != findings_.victim && load_.last_write() > findings_.killed + 50ms;
    });
    if (!served) co_return served;
    findings_.successor = watch_.of_leader()->leader;
    watch_.say("demo", fmt::format("orders are acknowledged again, by {}", findings_.successor));
    auto const pause_until = runtime::boot_now() + kLoadAfter;
    co_return co_await until("", kPatience, [&] { return runtime::boot_now() > pause_until; });
}

runtime::Task<Status> Play::bring_it_back() {
    findings_.restarted = runtime::boot_now();
    if (auto started = nodes_.start(nodes_.machine(findings_.victim)); !started) co_return started;
    watch_.say("demo", fmt::format("{} is started again", findings_.victim));
    auto whole = co_await until(findings_.victim + "'s return into the sync set", kPatience,
                                [&] { return watch_.is_whole(nodes_.machines().size() - 1); });
    if (!whole) co_return whole;
    findings_.whole = runtime::boot_now();
    watch_.say("demo", fmt::format("{} is back in the sync set", findings_.victim));
    co_await runtime::sleep_for(1s);
    co_return Status{};
}

runtime::Task<Status> Play::settle() {
    watch_.set_aloud(false);
    co_await runtime::run_blocking(worker_, [this] { load_.stop(); });
    findings_.ledger = load_.ledger();
    auto counted = co_await runtime::run_blocking(worker_, [this] { return audit(shop_, findings_.ledger); });
    if (!counted) co_return fail(std::move(counted).error());
    findings_.audit = std::move(*counted);
    auto explained = co_await nodes_.command(nodes_.machine(findings_.successor), {"explain"});
    if (explained) findings_.explanation = *explained;
    fmt::print("{}", render(findings_, watch_.moments()));
    co_return Status{};
}

std::string Play::directions() const {
    auto const& proxy = shop_.nodes.back();
    return fmt::format(
        "\n  The cluster stays until you press Ctrl-C (everything is ended and removed then).\n"
        "  primary    psql \"host={0} port={1} dbname={2} user={3} passfile={4}\"    through a proxy: it follows the "
        "primary\n"
        "  standbys   psql \"host={0} port={6} dbname={2} user={3} passfile={4}\"\n"
        "  status     pgkeel status --dir {5}\n\n",
        proxy.host, proxy.port, shop_.database, shop_.user, shop_.passfile, root_ + "/anna", shop_.readers.back().port);
}

void Play::end() {
    load_.stop();
    nodes_.stop_all();
}

}  // namespace keel::cli::demo
