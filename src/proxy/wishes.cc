#include "proxy/wishes.h"

namespace keel::proxy {

namespace {

std::string const* value_of(SettingsMap const& settings, std::string_view name) {
    auto const found = settings.find(name);
    return found == settings.end() || found->second.empty() ? nullptr : &found->second;
}

void complain(Wishes& out, std::string_view name, std::string const& value, std::string_view mend) {
    out.complaint.append(out.complaint.empty() ? "" : "; ").append(name).append(" = \"").append(value);
    out.complaint.append("\" is not understood: ").append(mend);
}

}  // namespace

Wishes wishes_of(SettingsMap const& settings, Causal standard, bool monotonic) {
    Wishes out;
    out.causal = standard;
    out.monotonic = monotonic;
    if (auto const* text = value_of(settings, "keel.monotonic_reads")) {
        out.monotonic = *text != "off";
        if (*text != "on" && *text != "off")
            complain(out, "keel.monotonic_reads", *text, "it is on or off, and counts as on");
    }
    if (auto const* route = value_of(settings, "keel.route")) {
        if (*route == "primary")
            out.route = Route::primary;
        else if (*route == "replica")
            out.route = Route::replica;
        else if (*route != "auto")
            complain(out, "keel.route", *route, "it is primary, replica or auto, and counts as auto");
    }
    if (auto const* causal = value_of(settings, "keel.causal_reads")) {
        if (*causal == "off")
            out.causal = Causal::off;
        else if (*causal == "session")
            out.causal = Causal::session;
        else if (*causal == "global")
            out.causal = Causal::global;
        else
            complain(out, "keel.causal_reads", *causal,
                     "it is off, session or global, and counts as if it were not set");
    }
    if (auto const* text = value_of(settings, "keel.min_lsn")) {
        if (auto const token = parse_token(*text)) {
            out.min_lsn = *token;
        } else {
            // Whatever it was to be, the primary has it.
            out.route = Route::primary;
            complain(out, "keel.min_lsn", *text,
                     "it is what SHOW keel.lsn says, as in 1:0/3000148; reads go to the primary");
        }
    }
    auto const* isolation = value_of(settings, "default_transaction_isolation");
    out.serializable = isolation != nullptr && *isolation == "serializable";
    return out;
}

}  // namespace keel::proxy
