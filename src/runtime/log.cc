#include "runtime/log.h"

#include <spdlog/formatter.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <atomic>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <ctime>
#include <memory>
#include <mutex>

namespace keel::runtime::log {

namespace {

spdlog::level::level_enum level_of(Level level) {
    switch (level) {
        case Level::debug:
            return spdlog::level::debug;
        case Level::info:
            return spdlog::level::info;
        case Level::warning:
            return spdlog::level::warn;
        case Level::error:
            return spdlog::level::err;
    }
    return spdlog::level::info;
}

char const* name_of(spdlog::level::level_enum level) {
    if (level >= spdlog::level::err) return "error";
    if (level == spdlog::level::warn) return "warning";
    return level == spdlog::level::info ? "info" : "debug";
}

// 2026-11-21T07:10:21.123Z
std::string time_text(spdlog::log_clock::time_point when) {
    auto const since = std::chrono::floor<std::chrono::milliseconds>(when).time_since_epoch();
    std::time_t const seconds = std::chrono::duration_cast<std::chrono::seconds>(since).count();
    std::tm parts{};
    ::gmtime_r(&seconds, &parts);
    return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", parts.tm_year + 1900, parts.tm_mon + 1,
                       parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec, since.count() % 1000);
}

std::string quoted(std::string_view text) {
    return boost::json::serialize(boost::json::value(boost::json::string_view(text.data(), text.size())));
}

// The logger's name carries the part that speaks; no pattern of spdlog escapes JSON.
class Line : public spdlog::formatter {
  public:
    Line(bool json, std::string node) : json_(json), node_(std::move(node)) {}

    void format(spdlog::details::log_msg const& message, spdlog::memory_buf_t& out) override {
        std::string_view const part(message.logger_name.data(), message.logger_name.size());
        std::string_view const text(message.payload.data(), message.payload.size());
        auto const when = time_text(message.time);
        auto const* level = name_of(message.level);
        std::string line;
        if (json_) {
            line = fmt::format(R"({{"time":"{}","level":"{}","node":{},"part":{},"text":{}}})", when, level,
                               quoted(node_), quoted(part), quoted(text));
        } else {
            line = fmt::format("{} {:<7} {}{}{}: {}", when, level, node_, node_.empty() ? "" : " ", part, text);
            for (char& byte : line) {
                if (byte == '\n' || byte == '\r') byte = ' ';
            }
        }
        line += '\n';
        out.append(line.data(), line.data() + line.size());
    }

    std::unique_ptr<formatter> clone() const override { return std::make_unique<Line>(json_, node_); }

  private:
    bool json_;
    std::string node_;
};

struct Sink {
    std::mutex mutex;
    Options options;
    std::atomic<Level> level{Level::info};
    spdlog::sink_ptr sink = open({});

    static spdlog::sink_ptr open(Options const& options) {
        spdlog::sink_ptr made;
        if (options.file.empty())
            made = std::make_shared<spdlog::sinks::stderr_sink_mt>();
        else
            made = std::make_shared<spdlog::sinks::basic_file_sink_mt>(options.file);
        made->set_formatter(std::make_unique<Line>(options.json, options.node));
        return made;
    }
};

// The process has one log; never destroyed, so that the last destructors may still speak.
Sink& the_sink() {
    static auto* const sink = new Sink;
    return *sink;
}

}  // namespace

Status set_up(Options const& options) {
    auto& target = the_sink();
    try {
        auto opened = Sink::open(options);
        std::lock_guard const lock(target.mutex);
        target.sink = std::move(opened);
        target.options = options;
    } catch (std::exception const& thrown) {
        return fail(Code::unavailable, "log file " + options.file + ": " + thrown.what(),
                    "choose a file in a directory that this user may write to");
    }
    target.level = options.level;
    return {};
}

void reopen() {
    Options options;
    {
        std::lock_guard const lock(the_sink().mutex);
        options = the_sink().options;
    }
    if (auto status = set_up(options); !status) write(Level::error, "log", to_string(status.error()));
}

bool enabled(Level level) { return level >= the_sink().level.load(std::memory_order_relaxed); }

void write(Level level, std::string_view part, std::string_view text) {
    auto& target = the_sink();
    try {
        std::lock_guard const lock(target.mutex);
        spdlog::details::log_msg const message(spdlog::string_view_t(part.data(), part.size()), level_of(level),
                                               spdlog::string_view_t(text.data(), text.size()));
        target.sink->log(message);
        target.sink->flush();
    } catch (...) {  // a full disk must not stop what the log speaks about
    }
}

}  // namespace keel::runtime::log
