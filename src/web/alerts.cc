#include "web/alerts.h"

#include "base/json.h"
#include "web/access.h"
#include "web/actions.h"

namespace keel::web {

namespace {

using runtime::HttpRequest;
using runtime::Task;
using Answer = Result<std::string>;

std::unexpected<Error> no_book() {
    return fail(Code::unavailable, "a witness keeps no book of alerts", "ask a data node: pgkeel alert --host");
}

}  // namespace

Task<Answer> show_alerts(Desk const& desk, HttpRequest const&) {
    if (!desk.alerts) co_return no_book();
    co_return json::write(desk.alerts());
}

Task<Answer> change_alerts(Desk const& desk, HttpRequest const& request) {
    if (!desk.ask_alerts) co_return no_book();
    auto body = json::read<alert::Request>(request.body);
    if (!body)
        co_return fail(Code::invalid, "the body does not fit: " + body.error().text,
                       "send JSON, as the command line does");
    auto const guest = identify(desk.look(), request);
    body->who = guest ? guest->who : "nobody";
    auto const done = co_await desk.ask_alerts(*std::move(body));
    if (!done) co_return fail(done.error());
    co_return json::write(Done{"done", 0, 0});
}

Task<Answer> test_alerts(Desk const& desk, HttpRequest const& request) {
    if (!desk.test_alerts) co_return no_book();
    alert::TestRequest wanted;
    if (!request.body.empty()) {
        auto const body = json::read<alert::TestRequest>(request.body);
        if (!body) co_return fail(Code::invalid, "the body does not fit: " + body.error().text, "{\"channel\": \"\"}");
        wanted = *body;
    }
    auto const results = co_await desk.test_alerts(wanted.channel);
    if (!results) co_return fail(results.error());
    co_return json::write(*results);
}

}  // namespace keel::web
