// The attributes of SCRAM's messages (RFC 5802, section 7): "r=...,s=...,i=...".
#pragma once

#include <optional>
#include <string_view>

namespace keel::auth {

// Takes "<name>=<value>" off the front of `text`, with the comma behind it. None when it is not there, or when the
// value has characters that no message may have (RFC 5802: printable ASCII, no comma).
std::optional<std::string_view> take_attribute(std::string_view& text, char name);

}  // namespace keel::auth
