// One HTTP exchange with an object store. Blocking; given up when nothing moves any more.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"

namespace keel::archive {

struct S3Call {
    std::string method;
    std::string url;
    std::vector<std::string> headers;  // "name: value"
    std::string_view body;
    Duration silence_most;
    std::size_t answer_most = 0;
};

struct S3Answer {
    long status = 0;
    std::map<std::string, std::string> headers;  // names in lower case
    std::string body;
    std::string header(char const* name) const {
        auto const found = headers.find(name);
        return found == headers.end() ? std::string() : found->second;
    }
};

// Called about once a second and more often while an exchange lasts: so long has nothing moved.
using OnWait = std::function<void(Duration silent)>;

class S3Wire {
  public:
    // An empty file of authorities: the system's.
    S3Wire(std::string ca_file, OnWait on_wait);
    ~S3Wire();
    S3Wire(S3Wire const&) = delete;
    S3Wire& operator=(S3Wire const&) = delete;

    // Whatever the status. unavailable, timeout; denied: the server's certificate is not trusted.
    Result<S3Answer> exchange(S3Call const& call);

    struct Handle;

  private:
    std::unique_ptr<Handle> handle_;
};

}  // namespace keel::archive
