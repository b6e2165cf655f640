// Token buckets by key (a collector, a certificate, an address), bounded in number. Pure: the clock
// is the caller's. Runs in `pganalytics serve`.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

#include "pganalytics/serve/limits.hpp"

namespace pganalytics::serve {

class RateLimiter {
  public:
    // `burst` tokens at once, then `per_second`.
    RateLimiter(double per_second, double burst) : per_second_(per_second), burst_(burst) {}

    // Takes one token: 0, or the seconds (1 at least) until there is one.
    uint32_t take(std::string_view key, Clock::time_point now);
    // What take() would answer, without taking.
    uint32_t wait(std::string_view key, Clock::time_point now);

    size_t keys() const { return buckets_.size(); }

  private:
    struct Bucket {
        double tokens = 0;
        Clock::time_point at{};
    };
    Bucket& refreshed(std::string_view key, Clock::time_point now);
    double refilled(const Bucket& bucket, Clock::time_point now) const;
    void make_room(Clock::time_point now);

    double per_second_;
    double burst_;
    std::unordered_map<std::string, Bucket> buckets_;
};

}  // namespace pganalytics::serve
