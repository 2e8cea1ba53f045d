// The dashboard: its files, log-in and log-out, and what keeps other web pages from acting in the name of whoever is
// logged in. The page itself asks the same routes as the command line.
#pragma once

#include "web/api.h"
#include "web/session.h"

namespace keel::web {

// POST /dashboard/login.
struct LoginRequest {
    std::string token;  // an access token, with its keelaccess1.
};
BOOST_DESCRIBE_STRUCT(LoginRequest, (), (token))
// What comes back, and GET /dashboard/session.
struct LoginAnswer {
    std::string who;
    cluster::Role role = cluster::Role::read;
    std::string csrf;  // to be sent as x-pgkeel-csrf with each change
    std::string page;  // the mark of the files that this program has
};
BOOST_DESCRIBE_STRUCT(LoginAnswer, (), (who, role, csrf, page))

class Dashboard {
  public:
    explicit Dashboard(std::string version);

    // Whose log-in the request's cookie stands for; into request.log_in.
    void recognise(cluster::Sight const& sight, runtime::HttpRequest& request) const;
    // Denied: a browser asks, and not from a page that this node gave it, or past the log-in (where only a socket's
    // mode or a certificate would count).
    Status judge_origin(cluster::Sight const& sight, runtime::HttpRequest const& request) const;

    // "/" as browsers ask for it, "/dashboard" and what is below. none: another path.
    std::optional<runtime::HttpResponse> get(Desk const& desk, runtime::HttpRequest const& request);
    std::optional<runtime::HttpResponse> post(Desk const& desk, runtime::HttpRequest const& request);

  private:
    runtime::HttpResponse file(runtime::HttpRequest const& request, std::string const& name) const;
    runtime::HttpResponse session(Desk const& desk, runtime::HttpRequest const& request) const;
    runtime::HttpResponse live(Desk const& desk, runtime::HttpRequest const& request);
    runtime::HttpResponse log_in(Desk const& desk, runtime::HttpRequest const& request);
    runtime::HttpResponse log_out(Desk const& desk, runtime::HttpRequest const& request);
    std::string cookie_of(cluster::Sight const& sight, runtime::HttpRequest const& request) const;

    std::string version_, mark_;
    std::string index_;  // index.html with its mark
    Sessions sessions_;
    std::size_t watching_ = 0;  // live streams that are open
};

// Any error as the answer to its request.
runtime::HttpResponse refuse(Error const& error);

}  // namespace keel::web
