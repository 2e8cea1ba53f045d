// Every command adds itself to the command line in its own file; what they share of it is here.
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

// An error and the exit code that it ends the program with. An empty text: the command has said everything itself.
struct Failure {
    Error error;
    int exit_code = kFailed;

    // By the error's code: what the user typed is wrong, or something failed.
    Failure(Error from)  // NOLINT(google-explicit-constructor): so that Result<T> becomes Answer<T>
        : error(std::move(from)), exit_code(error.code == Code::invalid ? kUsage : kFailed) {}
    Failure(int code, Error from) : error(std::move(from)), exit_code(code) {}
};
template <class T>
using Answer = std::expected<T, Failure>;
using Done = Answer<void>;

inline std::unexpected<Failure> stop(int exit_code, Code code, std::string text, std::string mend = {}) {
    return std::unexpected(Failure(exit_code, Error{code, std::move(text), std::move(mend)}));
}

// Which node a command speaks to.
struct Reach {
    std::string directory = config::kDirectory;
    std::string host;             // empty: the local agent of `directory`
    std::string token_file = {};  // with `host`: an access token instead of the certificate in `directory`
};

// What every command is given while the command line is put together; it lives as long as that.
class Commands {
  public:
    Commands(CLI::App& app, Hooks const& hooks) : app_(&app), hooks_(&hooks) {}
    Commands(Commands const&) = delete;
    Commands& operator=(Commands const&) = delete;

    // A command without common options, one that only this node's directory matters to (--dir), and one that asks an
    // agent (--dir and --host).
    CLI::App& add_bare(std::string const& name, std::string const& about);
    CLI::App& add_local(std::string const& name, std::string const& about);
    CLI::App& add(std::string const& name, std::string const& about);
    // As add(), below another command: `pgkeel config get`.
    CLI::App& add_below(CLI::App& parent, std::string const& name, std::string const& about);
    // As add_local(), below another command.
    CLI::App& add_local_below(CLI::App& parent, std::string const& name, std::string const& about);
    // What the command does when it is the one typed.
    void on(CLI::App& command, std::function<Done()> action);

    Reach const& reach() const { return reach_; }
    Hooks const& hooks() const { return *hooks_; }
    std::function<Done()> const& chosen() const { return chosen_; }

  private:
    CLI::App& with_directory(CLI::App& command);

    CLI::App* app_;
    Hooks const* hooks_;
    Reach reach_;
    std::function<Done()> chosen_;
};

void add_demo(Commands& commands);
void add_drill(Commands& commands);
void add_init(Commands& commands);
void add_join(Commands& commands);  // and witness
void add_leave(Commands& commands);
void add_node(Commands& commands);
void add_proxy(Commands& commands);    // and its join, list, remove
void add_status(Commands& commands);   // and topology
void add_history(Commands& commands);  // and explain
void add_plan(Commands& commands);
void add_switchover(Commands& commands);
void add_failover(Commands& commands);
void add_pause(Commands& commands);  // and resume, reload
void add_restart(Commands& commands);
void add_reinit(Commands& commands);
void add_config(Commands& commands);
void add_tag(Commands& commands);
void add_token(Commands& commands);
void add_access(Commands& commands);
void add_alert(Commands& commands);
void add_backup(Commands& commands);
void add_restore(Commands& commands);  // and wal
void add_recover(Commands& commands);
void add_doctor(Commands& commands);

}  // namespace keel::cli
