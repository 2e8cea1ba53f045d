// Path and query of an HTTP request, and addresses.
#include "fuzz.h"
#include "runtime/http.h"

namespace keel::fuzz {

std::vector<std::string> seeds() { return {"/replica?lag=10MB", "/history?since=%2041&x=a+b&x=", "/", "//..%2f..%00"}; }

void eat(std::string_view bytes) {
    std::string path;
    std::map<std::string, std::string> query;
    if (runtime::parse_request_target(bytes, path, query)) must(path.size() <= bytes.size());
}

}  // namespace keel::fuzz
