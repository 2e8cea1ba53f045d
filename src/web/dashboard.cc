#include "web/dashboard.h"

#include <fmt/format.h>

#include "base/json.h"
#include "runtime/log.h"
#include "web/access.h"
#include "web/actions.h"
#include "web/live.h"
#include "web/page.h"
#include "web/token.h"

namespace keel::web {

namespace {

using cluster::Sight;
using runtime::HttpRequest;
using runtime::HttpResponse;

constexpr std::string_view kBelow = "/dashboard/";
constexpr std::string_view kLogIn = "/dashboard/login";
// A node answers load balancers and Prometheus on the same connections; viewers must not take them all.
constexpr std::size_t kWatchingMax = 32;

// Nothing but our own files, no script within the page, no text that becomes a script, no frame around it.
constexpr char const* kPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

std::string header(HttpRequest const& request, char const* name) {
    auto const found = request.headers.find(name);
    return found == request.headers.end() ? std::string() : found->second;
}

HttpResponse guarded(HttpResponse response) {
    response.headers["Content-Security-Policy"] = kPolicy;
    response.headers["X-Content-Type-Options"] = "nosniff";
    response.headers["X-Frame-Options"] = "DENY";
    response.headers["Referrer-Policy"] = "no-referrer";
    response.headers["Cross-Origin-Opener-Policy"] = "same-origin";
    response.headers["Cross-Origin-Resource-Policy"] = "same-origin";
    response.headers.try_emplace("Cache-Control", "no-store");
    return response;
}

HttpResponse unauthorised(Error const& error) {
    auto response = refuse(error);
    if (error.code == Code::denied) response.status = 401;
    return response;
}

HttpResponse moved(std::string where) {
    HttpResponse response{307, "text/plain; charset=utf-8", "over there: " + where + "\n"};
    response.headers["Location"] = std::move(where);
    return response;
}

bool is_browser(HttpRequest const& request) {
    return request.headers.contains("origin") || request.headers.contains("sec-fetch-site");
}

// Where a browser with a page asks for one (RFC 9110, section 12.5.1); load balancers do not.
bool wants_page(HttpRequest const& request) { return header(request, "accept").find("text/html") != std::string::npos; }

bool equal_in_constant_time(std::string const& a, std::string const& b) {
    unsigned char difference = a.size() == b.size() ? 0 : 1;
    for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i)
        difference = static_cast<unsigned char>(difference | (a[i] ^ b[i]));
    return difference == 0;
}

}  // namespace

Dashboard::Dashboard(std::string version) : version_(std::move(version)), mark_(page_mark(version_)) {
    constexpr std::string_view kPlace = "{{mark}}";
    if (auto const* const index = find_page_file("index.html")) index_ = std::string(index->bytes);
    for (auto at = index_.find(kPlace); at != index_.npos; at = index_.find(kPlace, at))
        index_.replace(at, kPlace.size(), mark_);
}

std::string Dashboard::cookie_of(Sight const& sight, HttpRequest const& request) const {
    return cookie_value(header(request, "cookie"), cookie_name(sight.self));
}

void Dashboard::recognise(Sight const& sight, HttpRequest& request) const {
    auto const session = sessions_.find(cookie_of(sight, request), sight.clock.now);
    request.log_in = session && request.secure ? session->access_sha256 : std::string();
}

Status Dashboard::judge_origin(Sight const& sight, HttpRequest const& request) const {
    bool const browser = is_browser(request);
    Error const by_tls{Code::denied, "a browser must come over TLS and log in", "https://HOST:8008/dashboard/"};
    if (browser && request.local) return fail(by_tls);
    if (request.method == "GET" || request.method == "HEAD") return {};
    if (browser && !request.secure) return fail(by_tls);
    // A browser says itself where a request comes from; no script can change that (Fetch Metadata, W3C).
    auto const site = header(request, "sec-fetch-site");
    bool const ours =
        site.empty() ? header(request, "origin") == "https://" + header(request, "host") : site == "same-origin";
    if (browser && !ours) return fail(Code::denied, "another web page has sent this", "use the dashboard of this node");
    if (request.log_in.empty() || request.path == kLogIn) return {};
    auto const session = sessions_.find(cookie_of(sight, request), sight.clock.now);
    if (!session || !equal_in_constant_time(session->csrf, header(request, "x-pgkeel-csrf")))
        return fail(Code::denied, "the page has not shown that it is this node's own", "load the page again");
    auto const page = header(request, "x-pgkeel-page");
    if (!page.empty() && page != mark_)
        return fail(Code::conflict, "the page is of another version than this node", "load the page again");
    return {};
}

std::optional<HttpResponse> Dashboard::get(Desk const& desk, HttpRequest const& request) {
    bool const root = request.path == "/" && wants_page(request);
    if (!root && request.path != "/dashboard" && !request.path.starts_with(kBelow)) return std::nullopt;
    if (request.local)
        return guarded(
            refuse({Code::denied, "the dashboard is for browsers, over TLS", "https://HOST:8008/dashboard/"}));
    if (!request.secure) return guarded(moved("https://" + header(request, "host") + std::string(kBelow)));
    if (root || request.path == "/dashboard") return guarded(moved(std::string(kBelow)));
    auto const name = request.path.substr(kBelow.size());
    if (name == "session") return guarded(session(desk, request));
    if (name == "live") return guarded(live(desk, request));
    return guarded(file(request, name.empty() ? "index.html" : name));
}

HttpResponse Dashboard::file(HttpRequest const& request, std::string const& name) const {
    auto const* const found = find_page_file(name);
    if (found == nullptr) return refuse({Code::not_found, "there is nothing at " + request.path, std::string(kBelow)});
    HttpResponse response{200, content_type(name), name == "index.html" ? index_ : std::string(found->bytes)};
    // Kept by the browser, and asked for each time whether it is still the same.
    response.headers["ETag"] = fmt::format("\"{}\"", mark_);
    response.headers["Cache-Control"] = "no-cache";
    if (header(request, "if-none-match") == response.headers["ETag"]) {
        response.status = 304;
        response.body.clear();
    }
    return response;
}

HttpResponse Dashboard::session(Desk const& desk, HttpRequest const& request) const {
    auto const sight = desk.look();
    auto const found = sessions_.find(cookie_of(sight, request), sight.clock.now);
    if (!found) return unauthorised({Code::denied, "nobody is logged in here", "log in with an access token"});
    auto const guest = identify(sight, request);
    if (!guest) return unauthorised(guest.error());
    return {200, "application/json", json::write(LoginAnswer{guest->who, guest->role, found->csrf, mark_})};
}

HttpResponse Dashboard::live(Desk const& desk, HttpRequest const& request) {
    if (auto const guest = identify(desk.look(), request); !guest) return unauthorised(guest.error());
    if (watching_ >= kWatchingMax)
        return refuse({Code::unavailable, fmt::format("{} viewers look at this node already", watching_),
                       "look at another node, or close a page"});
    HttpResponse response{200, "text/event-stream"};
    response.headers["X-Accel-Buffering"] = "no";  // nginx in front would hold the events back
    response.stream = [this, &desk, request](runtime::HttpStream& out) -> runtime::Task<void> {
        struct Counted {
            std::size_t& count;
            explicit Counted(std::size_t& one) : count(one) { ++count; }
            ~Counted() { --count; }
        } const counted(watching_);
        boost::json::object const hello{{"page", mark_}, {"version", version_}};
        co_await follow(desk, out, boost::json::serialize(hello), [this, request](Sight const& sight) {
            HttpRequest again = request;
            recognise(sight, again);
            return identify(sight, again);
        });
    };
    return response;
}

std::optional<HttpResponse> Dashboard::post(Desk const& desk, HttpRequest const& request) {
    if (request.path == kLogIn) return guarded(log_in(desk, request));
    if (request.path == "/dashboard/logout") return guarded(log_out(desk, request));
    return std::nullopt;
}

HttpResponse Dashboard::log_in(Desk const& desk, HttpRequest const& request) {
    if (!request.secure)
        return refuse({Code::denied, "a log-in needs TLS; this token has been seen by others",
                       "use https, and replace it: pgkeel access remove, pgkeel access add"});
    auto const body = json::read<LoginRequest>(request.body);
    if (!body) return refuse({Code::invalid, "the body does not fit: " + body.error().text, "{\"token\": \"...\"}"});
    auto const sight = desk.look();
    HttpRequest shown = request;
    shown.headers["authorization"] = "Bearer " + body->token;
    auto const guest = identify(sight, shown);
    auto const token = parse_access_token(body->token);
    if (!guest || !token) {
        auto const& error = guest ? token.error() : guest.error();
        runtime::log::info("api", "log-in from {} refused: {}", request.from, error.text);
        return unauthorised(error);
    }
    auto const opened = sessions_.open(sha256_hex(token->secret.reveal()), sight.clock.now);
    runtime::log::info("api", "{} logs in from {}", guest->who, request.from);
    HttpResponse response{200, "application/json",
                          json::write(LoginAnswer{guest->who, guest->role, opened.csrf, mark_})};
    response.headers["Set-Cookie"] = cookie_text(cookie_name(sight.self), opened.id);
    return response;
}

HttpResponse Dashboard::log_out(Desk const& desk, HttpRequest const& request) {
    auto const sight = desk.look();
    sessions_.close(cookie_of(sight, request));
    HttpResponse response{200, "application/json", json::write(Done{"logged out", 0, 0})};
    response.headers["Set-Cookie"] = cookie_text(cookie_name(sight.self), {});
    return response;
}

}  // namespace keel::web
