#include "web/history.h"

#include <fmt/format.h>

#include <charconv>
#include <limits>

#include "base/json.h"

namespace keel::web {

namespace {

using runtime::HttpRequest;
using runtime::Task;
using Answer = Result<std::string>;

constexpr std::int64_t kMost = 10'000;

Result<std::int64_t> number_of(HttpRequest const& request, char const* name, std::int64_t otherwise,
                               std::int64_t most) {
    auto const found = request.query.find(name);
    if (found == request.query.end()) return otherwise;
    auto const& text = found->second;
    std::int64_t value = 0;
    auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size() || value < 0 || value > most)
        return fail(Code::invalid, fmt::format("{}={} is not a number that it can be", name, text),
                    fmt::format("a number from 0 to {}", most));
    return value;
}

Result<Span> span_of(HttpRequest const& request) {
    constexpr auto kEver = std::numeric_limits<std::int64_t>::max();
    Span out;
    KEEL_TRY(out.from_ms, number_of(request, "from", 0, kEver));
    KEEL_TRY(out.until_ms, number_of(request, "until", kEver, kEver));
    KEEL_TRY(auto const most, number_of(request, "last", kMost, kMost));
    out.most = static_cast<std::size_t>(most);
    if (out.until_ms < out.from_ms)
        return fail(Code::invalid, "a span of time that ends before it begins", "from=MS&until=MS, the smaller first");
    return out;
}

template <class Read>
Task<Answer> show(HttpRequest const& request, Read const& read) {
    auto const span = span_of(request);
    if (!span) co_return fail(span.error());
    auto const found = co_await read(*span);
    if (!found) co_return fail(found.error());
    co_return json::write(*found);
}

}  // namespace

Task<Answer> show_events(Desk const& desk, HttpRequest const& request) { return show(request, desk.events); }
Task<Answer> show_rows(Desk const& desk, HttpRequest const& request) { return show(request, desk.rows); }
Task<Answer> show_availability(Desk const& desk, HttpRequest const&) { co_return json::write(desk.availability()); }

}  // namespace keel::web
