#include "postgres/preload.h"

#include <algorithm>

#include "postgres/conf.h"

namespace keel::postgres {

namespace {

constexpr std::string_view kParameter = "shared_preload_libraries";

std::string_view trimmed(std::string_view text) {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
    return text;
}

bool is_ours(std::string_view library) {
    if (library.starts_with('"') && library.ends_with('"') && library.size() > 1)
        library = library.substr(1, library.size() - 2);
    auto const name = library.substr(library.rfind('/') + 1);
    return name == "pgkeel" || name == "pgkeel.so";
}

}  // namespace

std::string with_extension(std::string_view libraries, std::string_view ours) {
    std::string out;
    auto const add = [&](std::string_view one) {
        if (!out.empty()) out += ", ";
        out += one;
    };
    while (!libraries.empty()) {
        auto const end = std::min(libraries.find(','), libraries.size());
        auto const one = trimmed(libraries.substr(0, end));
        if (!one.empty() && !is_ours(one)) add(one);
        libraries.remove_prefix(std::min(end + 1, libraries.size()));
    }
    // Quoted, because PostgreSQL folds names to lower case.
    if (!ours.empty()) add("\"" + std::string(ours) + "\"");
    return out;
}

std::string auto_conf_with_extension(std::string_view auto_conf, std::string_view ours) {
    std::string out;
    while (!auto_conf.empty()) {
        auto const end = std::min(auto_conf.find('\n'), auto_conf.size());
        auto const line = auto_conf.substr(0, end);
        auto const found = parse_conf(line);
        if (!found.empty() && found.front().name == kParameter)
            out += std::string(kParameter) + " = " + quote_conf(with_extension(found.front().value, ours));
        else
            out += line;
        if (end < auto_conf.size()) out += '\n';
        auto_conf.remove_prefix(std::min(end + 1, auto_conf.size()));
    }
    return out;
}

std::string libraries_of(std::string_view postgresql_conf) {
    std::string out;
    for (auto& one : parse_conf(postgresql_conf)) {
        if (one.name == kParameter) out = std::move(one.value);
    }
    return out;
}

}  // namespace keel::postgres
