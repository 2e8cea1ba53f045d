// A text that cannot be printed, compared by accident or serialised: passwords, keys, tokens.
#pragma once

#include <string>
#include <utility>

namespace keel {

class Secret {
  public:
    Secret() = default;
    explicit Secret(std::string text) : text_(std::move(text)) {}
    Secret(Secret const&) = default;
    Secret(Secret&&) noexcept = default;
    Secret& operator=(Secret const&) = default;
    Secret& operator=(Secret&&) noexcept = default;
    ~Secret() {
        volatile char* byte = text_.data();
        for (std::size_t i = 0; i < text_.size(); ++i) byte[i] = 0;
    }
    // The one way to the text; the name makes every use easy to find.
    std::string const& reveal() const { return text_; }
    bool empty() const { return text_.empty(); }

  private:
    std::string text_;
};

}  // namespace keel
