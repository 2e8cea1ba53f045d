#include "base/json.h"

namespace keel::json {

Result<boost::json::value> parse(std::string_view text) {
    boost::json::error_code error;
    boost::json::parse_options options;
    options.max_depth = 32;
    auto tree = boost::json::parse(text, error, {}, options);
    if (error) return fail(Code::corrupt, "not valid JSON: " + error.message());
    return tree;
}

}  // namespace keel::json
