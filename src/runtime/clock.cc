#include "runtime/clock.h"

#include <sys/random.h>
#include <time.h>

#include "base/assert.h"

namespace keel::runtime {

namespace {

void draw(void* out, std::size_t bytes) {
    // Up to 256 bytes are never interrupted or cut (getrandom(2)).
    KEEL_ASSERT(bytes <= 256);
    KEEL_ASSERT(::getrandom(out, bytes, 0) == static_cast<ssize_t>(bytes));
}

timespec read_clock(clockid_t which) {
    timespec now{};
    KEEL_ASSERT(::clock_gettime(which, &now) == 0);
    return now;
}

}  // namespace

Instant boot_now() {
    timespec const now = read_clock(CLOCK_BOOTTIME);
    return Instant(std::chrono::seconds(now.tv_sec) +
                   std::chrono::duration_cast<Duration>(std::chrono::nanoseconds(now.tv_nsec)));
}

std::int64_t unix_ms_now() {
    timespec const now = read_clock(CLOCK_REALTIME);
    return static_cast<std::int64_t>(now.tv_sec) * 1000 + now.tv_nsec / 1'000'000;
}

std::uint64_t random_u64() {
    std::uint64_t value = 0;
    draw(&value, sizeof value);
    return value;
}

std::string random_hex(std::size_t bytes) {
    unsigned char raw[256];
    draw(raw, bytes);
    std::string out;
    for (std::size_t i = 0; i < bytes; ++i) {
        out += "0123456789abcdef"[raw[i] >> 4];
        out += "0123456789abcdef"[raw[i] & 15];
    }
    return out;
}

std::string random_uuid() {
    std::string text = random_hex(16);
    text[12] = '4';
    text[16] = "89ab"[random_u64() & 3];
    for (std::size_t const at : {8U, 13U, 18U, 23U}) text.insert(at, 1, '-');
    return text;
}

}  // namespace keel::runtime
