// Clocks that a test steps: loaded into a server and the programs it starts, it adds what the file
// says to the time of day, from one reading to the next (harness/clocks.py). The monotonic clock is
// left alone, as it is where an operator, NTP or a hypervisor sets the time; only a test that has
// no hour to wait says what it shows.
//
// Not libfaketime: it asks its file for the time again by opening it, which the sandbox of ship and
// serve refuses, and it is lost where a program starts with an empty environment.
#include <sys/time.h>

#include <ctime>

#include "preload.hpp"

namespace {

struct Control {
    int64_t ahead_us;
    int64_t steady_us;  // what the monotonic clock shows; 0: what it is
};

constexpr int64_t kSecondUs = 1000000;

Control* control = nullptr;

__attribute__((constructor)) void begin() {
    control = preload::map_control<Control>("STEPPING_CLOCK");
}

timespec read_wall(clockid_t clock) {
    timespec now{};
    syscall(SYS_clock_gettime, clock, &now);
    if (control == nullptr) return now;
    const int64_t ahead = __atomic_load_n(&control->ahead_us, __ATOMIC_RELAXED);
    const int64_t micros = int64_t{now.tv_sec} * kSecondUs + now.tv_nsec / 1000 + ahead;
    now.tv_sec = micros / kSecondUs;
    now.tv_nsec = micros % kSecondUs * 1000 + now.tv_nsec % 1000;
    return now;
}

timespec read_steady(clockid_t clock) {
    timespec now{};
    syscall(SYS_clock_gettime, clock, &now);
    if (control == nullptr) return now;
    const int64_t shown = __atomic_load_n(&control->steady_us, __ATOMIC_RELAXED);
    if (shown != 0) now = {shown / kSecondUs, shown % kSecondUs * 1000};
    return now;
}

}  // namespace

extern "C" {

int clock_gettime(clockid_t clock, timespec* now) noexcept {
    switch (clock) {
        case CLOCK_REALTIME:
        case CLOCK_REALTIME_COARSE:
            *now = read_wall(clock);
            return 0;
        case CLOCK_MONOTONIC:
            *now = read_steady(clock);
            return 0;
        default:
            return static_cast<int>(syscall(SYS_clock_gettime, clock, now));
    }
}

int gettimeofday(timeval* now, void*) noexcept {
    const timespec wall = read_wall(CLOCK_REALTIME);
    *now = {wall.tv_sec, wall.tv_nsec / 1000};
    return 0;
}

time_t time(time_t* now) noexcept {
    const time_t seconds = read_wall(CLOCK_REALTIME).tv_sec;
    if (now != nullptr) *now = seconds;
    return seconds;
}

int execve(const char* path, char* const* arguments, char* const* environment) noexcept {
    return preload::execute(path, arguments, environment);
}
}
