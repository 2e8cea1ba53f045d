#include "proxy/token.h"

#include <algorithm>
#include <charconv>

namespace keel::proxy {

std::optional<Token> parse_token(std::string_view text) {
    auto const colon = text.find(':');
    if (colon == std::string_view::npos) return std::nullopt;
    Token out;
    auto const number = text.substr(0, colon);
    auto const [end, trouble] = std::from_chars(number.data(), number.data() + number.size(), out.timeline.value);
    if (trouble != std::errc{} || end != number.data() + number.size() || !out.is_set()) return std::nullopt;
    auto const lsn = parse_lsn(text.substr(colon + 1));
    if (!lsn) return std::nullopt;
    out.lsn = *lsn;
    return out;
}

std::string to_string(Token const& token) {
    return token.is_set() ? std::to_string(token.timeline.value) + ":" + to_string(token.lsn) : std::string();
}

Token later(Token const& a, Token const& b) {
    if (a.timeline != b.timeline) return a.timeline < b.timeline ? b : a;
    return a.lsn < b.lsn ? b : a;
}

Standing standing(Token const& token, Timeline timeline, Lsn replay, std::vector<Fork> const& forks) {
    auto const own = std::ranges::find(forks, token.timeline, &Fork::timeline);
    // A timeline that history has left out, or one that this proxy has not heard of yet.
    if (own == forks.end()) {
        bool const passed_over =
            !forks.empty() && token.timeline < forks.back().timeline && forks.front().timeline < token.timeline;
        return passed_over ? Standing::lost : Standing::apart;
    }
    auto const next = own + 1;
    if (next != forks.end() && next->at < token.lsn) return Standing::lost;
    bool const known = std::ranges::find(forks, timeline, &Fork::timeline) != forks.end();
    if (!known || timeline < token.timeline) return Standing::apart;
    return replay < token.lsn ? Standing::behind : Standing::seen;
}

Standing standing(Seen const& seen, Timeline timeline, Lsn replay, std::vector<Fork> const& forks) {
    auto const of = [&](Token const& token) {
        return token.is_set() ? standing(token, timeline, replay, forks) : Standing::seen;
    };
    auto const committed = of(seen.committed), shown = of(seen.shown);
    return std::max(committed, shown == Standing::lost ? Standing::apart : shown);
}

}  // namespace keel::proxy
