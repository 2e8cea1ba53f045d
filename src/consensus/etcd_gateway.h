// One connection to etcd's JSON gateway: endpoints in turn, TLS, authentication. Blocks; each thread has its own.
#pragma once

#include <atomic>
#include <boost/json/fwd.hpp>

#include "consensus/etcd.h"

namespace keel::consensus {

class EtcdGateway {
  public:
    // A request in flight is broken off when `stop` becomes true.
    EtcdGateway(Etcd::Options const& options, std::atomic<bool> const& stop);
    ~EtcdGateway();
    EtcdGateway(EtcdGateway const&) = delete;
    EtcdGateway& operator=(EtcdGateway const&) = delete;

    // For requests that may be repeated: tries each endpoint.
    Result<boost::json::value> query(std::string const& path, boost::json::value const& body);
    // For those that may not: goes on to another endpoint only while nothing was sent. The error's outcome says what
    // is known.
    Result<boost::json::value> change(std::string const& path, boost::json::value const& body);
    // Calls `on_line` with each line of the answer until that returns false or the connection ends.
    Status stream(std::string const& path, boost::json::value const& body,
                  std::function<bool(std::string_view)> on_line);

  private:
    struct Handle;
    Result<std::string> post(std::string const& path, std::string const& body, bool is_change);
    Status authenticate();

    Etcd::Options const& options_;
    std::unique_ptr<Handle> handle_;
    std::size_t endpoint_ = 0;
    std::string token_;
};

}  // namespace keel::consensus
