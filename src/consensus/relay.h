// A TCP relay on loopback that can swallow an answer, and free ports; for tests.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace keel::consensus {

inline sockaddr_in loopback(int port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

inline int bound_socket(int& port) {
    int const descriptor = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    auto address = loopback(0);
    socklen_t size = sizeof address;
    EXPECT_EQ(::bind(descriptor, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(::getsockname(descriptor, reinterpret_cast<sockaddr*>(&address), &size), 0);
    port = ntohs(address.sin_port);
    return descriptor;
}

inline int free_port() {
    int port = 0;
    ::close(bound_socket(port));
    return port;
}

// Passes each request on, and of the answers to those that contain `swallow` not a byte.
class Relay {
  public:
    Relay(int to, std::string swallow) : to_(to), swallow_(std::move(swallow)), listener_(bound_socket(port)) {
        EXPECT_EQ(::listen(listener_, 8), 0);
        thread_ = std::thread([this] { run(); });
    }
    ~Relay() {
        stop_ = true;
        ::shutdown(listener_, SHUT_RDWR);
        thread_.join();
        ::close(listener_);
    }
    int port = 0;

  private:
    void run() {
        std::vector<std::thread> connections;
        for (;;) {
            int const client = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
            if (client < 0) break;
            connections.emplace_back([this, client] {
                int const server = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
                auto const address = loopback(to_);
                if (::connect(server, reinterpret_cast<sockaddr const*>(&address), sizeof address) == 0)
                    pass(client, server);
                ::close(server);
                ::close(client);
            });
        }
        for (auto& connection : connections) connection.join();
    }
    void pass(int client, int server) const {
        std::string asked(65536, '\0');
        bool mute = false;
        for (;;) {
            pollfd both[] = {{client, POLLIN, 0}, {server, POLLIN, 0}};
            ::poll(both, 2, 200);
            if (stop_) return;
            for (int i = 0; i < 2; ++i) {
                if (both[i].revents == 0) continue;
                auto const count = ::read(both[i].fd, asked.data(), asked.size());
                if (count <= 0) return;
                auto const bytes = std::string_view(asked).substr(0, static_cast<std::size_t>(count));
                if (i == 0 && bytes.find(swallow_) != std::string_view::npos) mute = true;
                if (i == 1 && mute) return;
                if (::write(both[1 - i].fd, bytes.data(), bytes.size()) != count) return;
            }
        }
    }

    int to_;
    std::string swallow_;
    int listener_;
    std::atomic<bool> stop_ = false;
    std::thread thread_;
};

}  // namespace keel::consensus
