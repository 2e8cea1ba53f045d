// The two settings of a session that change where PostgreSQL's lexer sees a string end.
#pragma once

#include <string_view>

namespace keel::sql {

struct Dialect {
    bool standard_conforming_strings = true;
    // False when client_encoding has characters whose later bytes look like ASCII: the server lexes the text after it
    // has converted it, so bytes seen before that prove nothing. Such a text is not judged when it has a byte >= 0x80.
    bool ascii_safe = true;
};

// Of the value of client_encoding, as ParameterStatus reports it. An unknown name is not safe.
bool is_ascii_safe(std::string_view client_encoding);

}  // namespace keel::sql
