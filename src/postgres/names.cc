#include "postgres/names.h"

#include <algorithm>
#include <cctype>
#include <charconv>

namespace keel::postgres {

namespace {
constexpr std::string_view kSlotPrefix = "pgkeel_";
}

std::string render_names(cluster::Names const& names) {
    if (names.count == 0) return {};
    std::string out = "ANY " + std::to_string(names.count) + " (";
    bool first = true;
    for (auto const& member : names.members) {
        if (!first) out += ",";
        first = false;
        out += '"';
        for (char const c : member.value) out += c == '"' ? std::string("\"\"") : std::string(1, c);
        out += '"';
    }
    if (names.members.empty()) out += kNobody;
    return out + ")";
}

cluster::Names parse_names(std::string_view text) {
    cluster::Names out;
    auto const open = text.find('(');
    if (!text.starts_with("ANY ") || open == std::string_view::npos) return out;
    std::from_chars(text.data() + 4, text.data() + open, out.count);
    std::string one;
    bool quoted = false;
    for (std::size_t i = open + 1; i < text.size(); ++i) {
        char const c = text[i];
        if (c == '"' && quoted && i + 1 < text.size() && text[i + 1] == '"') {
            one += text[++i];
        } else if (c == '"') {
            quoted = !quoted;
        } else if (!quoted && (c == ',' || c == ')')) {
            if (!one.empty() && one != kNobody) out.members.insert(NodeId{one});
            one.clear();
        } else if (quoted || c != ' ') {
            one += c;
        }
    }
    return out;
}

std::string slot_name(NodeId const& id) {
    std::string out(kSlotPrefix);
    for (char const c : id.value) {
        out += std::isalnum(static_cast<unsigned char>(c)) != 0 ? static_cast<char>(std::tolower(c)) : '_';
    }
    return out;
}

NodeId slot_owner(std::string_view slot) {
    if (!slot.starts_with(kSlotPrefix)) return {};
    NodeId out{std::string(slot.substr(kSlotPrefix.size()))};
    std::ranges::replace(out.value, '_', '-');
    return out;
}

}  // namespace keel::postgres
