// One codec for everything that is stored, sent or shown as JSON: described structs and enums, strong types,
// containers. Reading is lenient about fields (a missing one keeps its default, an unknown one is skipped), so that
// nodes of two versions understand each other, and strict about types.
#pragma once

#include <boost/describe.hpp>
#include <boost/json.hpp>
#include <boost/mp11.hpp>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <type_traits>
#include <variant>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "base/time.h"

namespace keel::json {

namespace detail {

template <class T, template <class...> class Template>
inline constexpr bool is_of = false;
template <template <class...> class Template, class... Args>
inline constexpr bool is_of<Template<Args...>, Template> = true;

template <class T>
std::string enum_name(T value) {
    char const* name = boost::describe::enum_to_string(value, "");
    return *name != '\0' ? name : std::to_string(static_cast<int>(value));
}

// A map's key as text, and back.
inline std::string key_text(std::string const& key) { return key; }
inline std::string key_text(NodeId const& key) { return key.value; }
template <class Key>
Key key_from(std::string_view text) {
    if constexpr (std::is_same_v<Key, NodeId>)
        return NodeId{std::string(text)};
    else
        return Key(text);
}

// Not templates, and not here: compiled once, not with each member of each structure.
void put(boost::json::object& out, std::string_view name, boost::json::value&& member);
boost::json::value const* field_of(boost::json::object const& in, std::string_view name);
void place_error(Status& status, std::string_view where);
// Each byte that is no character of UTF-8 becomes U+FFFD: no parser would read a text with it, and texts come from
// anywhere (what a program said before it failed, a name in another encoding).
std::string with_characters(std::string text);

}  // namespace detail

// The recursion below is qualified (json::encode): an encode() beside the type being written, found by its argument's
// namespace, would call back here for ever.
template <class T>
boost::json::value encode(T const& in) {
    using namespace boost::json;
    if constexpr (std::is_same_v<T, value>)
        return in;
    else if constexpr (std::is_same_v<T, bool> || std::is_arithmetic_v<T>)
        return value(in);
    else if constexpr (std::is_same_v<T, std::string>)
        return value(in);
    else if constexpr (std::is_same_v<T, Lsn>)
        return value(to_string(in));
    else if constexpr (std::is_same_v<T, Duration>)
        return value(in.count());
    else if constexpr (detail::is_of<T, Strong>)
        return json::encode(in.value);
    else if constexpr (detail::is_of<T, std::optional>)
        return in ? json::encode(*in) : value(nullptr);
    else if constexpr (detail::is_of<T, std::vector> || detail::is_of<T, std::set>) {
        array out;
        for (auto const& element : in) out.push_back(json::encode(element));
        return out;
    } else if constexpr (detail::is_of<T, std::map>) {
        object out;
        for (auto const& [key, element] : in) detail::put(out, detail::key_text(key), json::encode(element));
        return out;
    } else if constexpr (std::is_enum_v<T>)
        return value(detail::enum_name(in));
    else if constexpr (detail::is_of<T, std::variant>) {
        // Alternatives are described structs with a static `kType`; it goes into the field "type".
        return std::visit(
            [](auto const& one) {
                value body = json::encode(one);
                body.as_object()["type"] = std::decay_t<decltype(one)>::kType;
                return body;
            },
            in);
    } else {
        object out;
        using Members =
            boost::describe::describe_members<T, boost::describe::mod_public | boost::describe::mod_inherited>;
        boost::mp11::mp_for_each<Members>(
            [&](auto member) { detail::put(out, member.name, json::encode(in.*member.pointer)); });
        return out;
    }
}

// Reads `in` into `out`. The error names the path to the value that does not fit.
template <class T>
Status decode(boost::json::value const& in, T& out);

namespace detail {

inline std::unexpected<Error> wrong(char const* expected) {
    return fail(Code::corrupt, std::string("expected ") + expected);
}

template <class T>
Status decode_integer(boost::json::value const& in, T& out) {
    if (in.is_int64() && std::in_range<T>(in.get_int64()))
        out = static_cast<T>(in.get_int64());
    else if (in.is_uint64() && std::in_range<T>(in.get_uint64()))
        out = static_cast<T>(in.get_uint64());
    else
        return wrong("an integer in range");
    return {};
}

template <class T>
Status decode_sequence(boost::json::value const& in, T& out) {
    if (!in.is_array()) return wrong("an array");
    out.clear();
    for (auto const& element : in.get_array()) {
        typename T::value_type one{};
        if (auto status = json::decode(element, one); !status) {
            place_error(status, "element");
            return status;
        }
        out.insert(out.end(), std::move(one));
    }
    return {};
}

template <class T>
Status decode_map(boost::json::value const& in, T& out) {
    if (!in.is_object()) return wrong("an object");
    out.clear();
    for (auto const& [key, element] : in.get_object()) {
        auto& slot = out[key_from<typename T::key_type>(std::string_view(key.data(), key.size()))];
        if (auto status = json::decode(element, slot); !status) {
            place_error(status, std::string_view(key.data(), key.size()));
            return status;
        }
    }
    return {};
}

template <class T>
Status decode_variant(boost::json::value const& in, T& out) {
    if (!in.is_object() || !in.get_object().if_contains("type")) return wrong("an object with a type");
    auto const& type = in.get_object().at("type");
    if (!type.is_string()) return wrong("a type name");
    Status status = fail(Code::corrupt, "unknown type");
    boost::mp11::mp_for_each<boost::mp11::mp_transform<boost::mp11::mp_identity, T>>([&](auto identity) {
        using One = typename decltype(identity)::type;
        if (std::string_view(type.get_string()) != One::kType) return;
        One one{};
        status = json::decode(in, one);
        if (status) out = std::move(one);
    });
    return status;
}

template <class T>
Status decode_struct(boost::json::value const& in, T& out) {
    if (!in.is_object()) return wrong("an object");
    auto const& object = in.get_object();
    Status status;
    using Members = boost::describe::describe_members<T, boost::describe::mod_public | boost::describe::mod_inherited>;
    boost::mp11::mp_for_each<Members>([&](auto member) {
        if (auto const* field = status ? field_of(object, member.name) : nullptr)
            place_error(status = json::decode(*field, out.*member.pointer), member.name);
    });
    return status;
}

}  // namespace detail

template <class T>
Status decode(boost::json::value const& in, T& out) {
    if constexpr (std::is_same_v<T, boost::json::value>) {
        out = in;
    } else if constexpr (std::is_same_v<T, bool>) {
        if (!in.is_bool()) return detail::wrong("true or false");
        out = in.get_bool();
    } else if constexpr (std::is_integral_v<T>) {
        return detail::decode_integer(in, out);
    } else if constexpr (std::is_floating_point_v<T>) {
        if (!in.is_number()) return detail::wrong("a number");
        out = in.to_number<T>();
    } else if constexpr (std::is_same_v<T, std::string>) {
        if (!in.is_string()) return detail::wrong("a text");
        out.assign(in.get_string().data(), in.get_string().size());
    } else if constexpr (std::is_same_v<T, Lsn>) {
        auto const lsn = in.is_string() ? parse_lsn(in.get_string()) : std::nullopt;
        if (!lsn) return detail::wrong("an LSN such as 0/3000148");
        out = *lsn;
    } else if constexpr (std::is_same_v<T, Duration>) {
        Duration::rep count = 0;
        if (auto status = detail::decode_integer(in, count); !status) return status;
        out = Duration(count);
    } else if constexpr (detail::is_of<T, Strong>) {
        return json::decode(in, out.value);
    } else if constexpr (detail::is_of<T, std::optional>) {
        out.reset();
        if (!in.is_null()) return json::decode(in, out.emplace());
    } else if constexpr (detail::is_of<T, std::vector> || detail::is_of<T, std::set>) {
        return detail::decode_sequence(in, out);
    } else if constexpr (detail::is_of<T, std::map>) {
        return detail::decode_map(in, out);
    } else if constexpr (std::is_enum_v<T>) {
        if (!in.is_string() || !boost::describe::enum_from_string(in.get_string().c_str(), out)) {
            return detail::wrong("one of the known names");
        }
    } else if constexpr (detail::is_of<T, std::variant>) {
        return detail::decode_variant(in, out);
    } else {
        return detail::decode_struct(in, out);
    }
    return {};
}

// Parses foreign bytes; never throws, refuses nesting deeper than 32.
Result<boost::json::value> parse(std::string_view text);

template <class T>
Result<T> read(std::string_view text) {
    KEEL_TRY(auto const tree, parse(text));
    T out{};
    KEEL_CHECK(json::decode(tree, out));
    return out;
}

template <class T>
std::string write(T const& in) {
    return detail::with_characters(boost::json::serialize(json::encode(in)));
}

}  // namespace keel::json
