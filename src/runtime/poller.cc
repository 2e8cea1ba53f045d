#include "runtime/poller.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "base/assert.h"
#include "runtime/clock.h"
#include "runtime/files.h"

namespace keel::runtime {

namespace {

constexpr int kBatch = 128;

std::uint32_t mask_of(Poller::Ready interest) {
    return (interest.read ? static_cast<std::uint32_t>(EPOLLIN | EPOLLRDHUP) : 0U) |
           (interest.write ? static_cast<std::uint32_t>(EPOLLOUT) : 0U);
}

}  // namespace

Result<std::unique_ptr<Poller>> Poller::make() {
    std::unique_ptr<Poller> out(new Poller());
    out->set_ = ::epoll_create1(EPOLL_CLOEXEC);
    if (out->set_ < 0) return fail(system_error(errno, "epoll_create1"));
    out->bell_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (out->bell_ < 0) return fail(system_error(errno, "eventfd"));
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.ptr = nullptr;
    if (::epoll_ctl(out->set_, EPOLL_CTL_ADD, out->bell_, &event) != 0) return fail(system_error(errno, "epoll_ctl"));
    return out;
}

Poller::~Poller() {
    if (bell_ >= 0) ::close(bell_);
    if (set_ >= 0) ::close(set_);
}

Status Poller::add(int descriptor, Handler& handler, Ready interest) {
    epoll_event event{};
    event.events = mask_of(interest);
    event.data.ptr = &handler;
    if (::epoll_ctl(set_, EPOLL_CTL_ADD, descriptor, &event) != 0) return fail(system_error(errno, "epoll_ctl"));
    return {};
}

void Poller::change(int descriptor, Handler& handler, Ready interest) {
    epoll_event event{};
    event.events = mask_of(interest);
    event.data.ptr = &handler;
    KEEL_ASSERT(::epoll_ctl(set_, EPOLL_CTL_MOD, descriptor, &event) == 0);
}

void Poller::remove(int descriptor) { (void)::epoll_ctl(set_, EPOLL_CTL_DEL, descriptor, nullptr); }

void Poller::post(std::function<void()> work) {
    {
        std::lock_guard const lock(mutex_);
        posted_.push_back(std::move(work));
    }
    std::uint64_t const one = 1;
    (void)!::write(bell_, &one, sizeof one);
}

void Poller::run_posted() {
    std::uint64_t rung = 0;
    (void)!::read(bell_, &rung, sizeof rung);
    std::vector<std::function<void()>> work;
    {
        std::lock_guard const lock(mutex_);
        work.swap(posted_);
    }
    for (auto& one : work) one();
}

void Poller::wait(Duration limit) {
    std::array<epoll_event, kBatch> events;
    auto const ms = limit <= Duration::zero() ? 0 : std::min<std::int64_t>(to_ms(limit) + 1, 60'000);
    int const count = ::epoll_wait(set_, events.data(), kBatch, static_cast<int>(ms));
    woke_ = boot_now();
    for (int i = 0; i < count; ++i) {
        auto const& event = events[static_cast<std::size_t>(i)];
        if (event.data.ptr == nullptr) {
            run_posted();
            continue;
        }
        bool const over = (event.events & (EPOLLERR | EPOLLHUP)) != 0;
        static_cast<Handler*>(event.data.ptr)
            ->on_ready({over || (event.events & (EPOLLIN | EPOLLRDHUP)) != 0, over || (event.events & EPOLLOUT) != 0});
    }
    kept_.clear();
}

}  // namespace keel::runtime
