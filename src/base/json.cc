#include "base/json.h"

#include "base/utf8.h"

namespace keel::json {

namespace detail {

void put(boost::json::object& out, std::string_view name, boost::json::value&& member) {
    out.emplace(name, std::move(member));
}

boost::json::value const* field_of(boost::json::object const& in, std::string_view name) {
    return in.if_contains(name);
}

void place_error(Status& status, std::string_view where) {
    if (!status) status = fail(std::move(status.error()).in(std::string(where)));
}

std::string with_characters(std::string text) {
    if (end_of_characters(text) == text.size()) return text;
    return replace_bytes(text, [](unsigned char) { return std::string("\xef\xbf\xbd"); });
}

}  // namespace detail

Result<boost::json::value> parse(std::string_view text) {
    boost::json::error_code error;
    boost::json::parse_options options;
    options.max_depth = 32;
    auto tree = boost::json::parse(text, error, {}, options);
    if (error) return fail(Code::corrupt, "not valid JSON: " + error.message());
    return tree;
}

}  // namespace keel::json
