// Every command adds itself to the command line; what it does is decided by its own file.
#pragma once

#include <expected>
#include <functional>
#include <string>

#include "base/result.h"
#include "cli/cli.h"

namespace CLI {
class App;
}

namespace keel::cli {

// How a command ends when it does not end well: the error that is printed (nothing when its text is empty, the command
// has said everything itself then) and the exit code.
struct Failure {
    // The exit code that fits the error.
    Failure(Error why);  // NOLINT(google-explicit-constructor): so that KEEL_TRY passes errors on
    Failure(int code, Error why) : exit_code(code), error(std::move(why)) {}
    int exit_code = kFailed;
    Error error;
};
template <class T>
using Answer = std::expected<T, Failure>;
using Done = Answer<void>;

inline std::unexpected<Failure> stop(int exit_code, Code code, std::string text, std::string mend = {}) {
    return std::unexpected(Failure(exit_code, Error{code, std::move(text), std::move(mend)}));
}

// Which node a command is about.
struct Reach {
    std::string directory = config::kDirectory;  // the local one: its socket, its certificate
    std::string host;                            // empty: the local agent
};

class Commands {
  public:
    Commands(CLI::App& app, Hooks const& hooks) : app_(&app), hooks_(&hooks) {}

    // A command with --dir.
    CLI::App& add_local(std::string const& name, std::string const& about);
    // A command with --dir and --host.
    CLI::App& add(std::string const& name, std::string const& about);
    // As add(), below another command: `pgkeel config get`.
    CLI::App& add_below(CLI::App& parent, std::string const& name, std::string const& about);
    // What the command does when it was the one typed.
    void on(CLI::App& command, std::function<Done()> action);

    CLI::App& app() const { return *app_; }
    Hooks const& hooks() const { return *hooks_; }
    Reach const& reach() const { return reach_; }
    std::function<Done()> const& chosen() const { return chosen_; }

  private:
    CLI::App& with_directory(CLI::App& command);

    CLI::App* app_;
    Hooks const* hooks_;
    Reach reach_;
    std::function<Done()> chosen_;
};

void add_demo(Commands& commands);
void add_init(Commands& commands);
void add_join(Commands& commands);  // and witness
void add_node(Commands& commands);
void add_status(Commands& commands);   // and topology
void add_history(Commands& commands);  // and explain
void add_switchover(Commands& commands);
void add_failover(Commands& commands);
void add_pause(Commands& commands);  // and resume
void add_restart(Commands& commands);
void add_reinit(Commands& commands);
void add_config(Commands& commands);  // and reload
void add_tag(Commands& commands);
void add_token(Commands& commands);
void add_leave(Commands& commands);
void add_doctor(Commands& commands);

}  // namespace keel::cli
