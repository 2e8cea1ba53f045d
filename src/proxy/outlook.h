// Looks ahead over what a client has sent, up to the end of its next batch, to see where that may go as a whole.
#pragma once

#include <string>
#include <string_view>

#include "proxy/detached.h"
#include "proxy/judges.h"
#include "proxy/wishes.h"

namespace keel::proxy {

// A batch for a standby may be sent again elsewhere: it is kept until its answer goes out.
inline constexpr std::size_t kFlightMax = 16 * 1024;

struct Outlook {
    enum class Where { more, primary, standby };  // more: its end has not come yet
    Where where = Where::primary;
    sql::TextHash text;          // of the one statement that is read
    bool changes_names = false;  // it prepares or closes statements of the session
};

// What the session knows that is not in the batch.
struct OutlookContext {
    std::string const& database;
    TextCache& texts;
    Judges& judges;
    Names const& names;
    TextFacts const& unnamed;       // of the unnamed statement
    std::string_view unnamed_text;  // empty: not kept
    bool trusted = false;           // the session asks for standbys
};

// A standby gets: one statement that may go there, alone, by the simple or by the extended protocol; BEGIN READ ONLY,
// with reads behind it in the same batch. A batch that asks for answers before its end (Flush), one that is too long to
// be kept, and all that was not understood are the primary's.
Outlook look_ahead(std::string_view in, OutlookContext context);

}  // namespace keel::proxy
