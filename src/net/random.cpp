// Random numbers from getrandom() (see the header).
#include "pganalytics/net/random.hpp"

#include <sys/random.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace pganalytics::net {

void random_bytes(std::span<uint8_t> out) {
    while (!out.empty()) {
        const ssize_t count = getrandom(out.data(), out.size(), 0);
        if (count < 0) {
            if (errno == EINTR) continue;
            std::abort();
        }
        out = out.subspan(static_cast<size_t>(count));
    }
}

uint64_t random_number() {
    uint8_t bytes[sizeof(uint64_t)];
    random_bytes(bytes);
    uint64_t number = 0;
    std::memcpy(&number, bytes, sizeof number);
    return number;
}

uint64_t random_below(uint64_t bound) {
    if (bound == 0) return 0;
    // Numbers below `uneven` would favour the small results.
    const uint64_t uneven = (0 - bound) % bound;
    uint64_t number = random_number();
    while (number < uneven) number = random_number();
    return number % bound;
}

double random_fraction() {
    constexpr double kStep = 1.0 / static_cast<double>(uint64_t{1} << 53);
    return static_cast<double>(random_number() >> 11) * kStep;
}

Uuid random_uuid() {
    Uuid uuid{};
    random_bytes(uuid);
    uuid[6] = static_cast<uint8_t>((uuid[6] & 0x0f) | 0x40);
    uuid[8] = static_cast<uint8_t>((uuid[8] & 0x3f) | 0x80);
    return uuid;
}

}  // namespace pganalytics::net
