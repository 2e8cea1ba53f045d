// For the tests of this folder and those above: a loop that runs one coroutine to its end, and real certificates.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>

#include "runtime/clock.h"
#include "runtime/scope.h"
#include "runtime/tls.h"

namespace keel::runtime::testing {

// Runs `task` to its end; an exception, and a task that never ends, fail the test.
inline void run(Io& io, Task<void> task) {
    bool ended = false;
    asio::co_spawn(io, std::move(task), [&](std::exception_ptr thrown) {
        ended = true;
        EXPECT_FALSE(thrown) << describe(thrown);
        io.stop();
    });
    io.restart();
    io.run_for(std::chrono::seconds(30));
    ASSERT_TRUE(ended) << "the test's coroutine did not end";
}

// Waits until `condition()`; false after 10 s.
template <class Condition>
Task<bool> until(Condition condition) {
    auto const deadline = boot_now() + 10s;
    while (!condition()) {
        if (boot_now() > deadline) co_return false;
        co_await sleep_for(1ms);
    }
    co_return true;
}

class Directory {
  public:
    Directory() {
        char name[] = "/tmp/keel-test-XXXXXX";
        path_ = ::mkdtemp(name);
    }
    Directory(Directory const&) = delete;
    Directory& operator=(Directory const&) = delete;
    ~Directory() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    std::string operator/(std::string const& name) const { return path_ + "/" + name; }
    std::string const& path() const { return path_; }

  private:
    std::string path_;
};

template <class T>
T must(Result<T> result) {
    EXPECT_TRUE(result.has_value()) << (result ? "" : to_string(result.error()));
    return std::move(result).value();
}

inline TlsIdentity identity(Pair const& authority, std::string const& node) {
    return {authority.certificate, must(issue_node(authority, {NodeId{node}, {"127.0.0.1", "localhost"}}))};
}

}  // namespace keel::runtime::testing
