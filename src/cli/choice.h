// An option or argument that is one word of a few: the names of a described enumeration.
#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <boost/describe.hpp>
#include <boost/mp11.hpp>

#include "config/problem.h"

namespace keel::cli {

// `out` must live as long as the command line. Another word is refused with the ones that there are.
template <class Enum>
CLI::Option& add_choice(CLI::App& command, std::string const& name, Enum& out, std::string const& about) {
    std::vector<std::string> words;
    boost::mp11::mp_for_each<boost::describe::describe_enumerators<Enum>>(
        [&](auto one) { words.emplace_back(one.name); });
    auto const names = fmt::format("{}", fmt::join(words, ", "));
    auto const take = [&out, words, name, names](std::string const& word) {
        if (boost::describe::enum_from_string(word.c_str(), out)) return;
        throw CLI::ValidationError(
            name, fmt::format("there is no \"{}\"{}; it is one of {}", word, config::did_you_mean(word, words), names));
    };
    return *command.add_option_function<std::string>(name, take, about + ": " + names)->type_name("WORD");
}

}  // namespace keel::cli
