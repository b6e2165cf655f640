// Token buckets (see the header). Pure.
#include "pganalytics/serve/rate_limiter.hpp"

#include <algorithm>
#include <cmath>

namespace pganalytics::serve {

double RateLimiter::refilled(const Bucket& bucket, Clock::time_point now) const {
    const double elapsed = std::chrono::duration<double>(now - bucket.at).count();
    return std::min(burst_, bucket.tokens + std::max(elapsed, 0.0) * per_second_);
}

// A full bucket says nothing that a new one would not.
void RateLimiter::make_room(Clock::time_point now) {
    if (buckets_.size() < kRateKeys) return;
    std::erase_if(buckets_,
                  [&](const auto& entry) { return refilled(entry.second, now) >= burst_; });
    // All of them in use: the least recently used one gives way.
    if (buckets_.size() < kRateKeys) return;
    buckets_.erase(
        std::min_element(buckets_.begin(), buckets_.end(),
                         [](const auto& a, const auto& b) { return a.second.at < b.second.at; }));
}

RateLimiter::Bucket& RateLimiter::refreshed(std::string_view key, Clock::time_point now) {
    const auto found = buckets_.find(std::string(key));
    if (found == buckets_.end()) {
        make_room(now);
        return buckets_.emplace(key, Bucket{burst_, now}).first->second;
    }
    found->second.tokens = refilled(found->second, now);
    found->second.at = now;
    return found->second;
}

uint32_t RateLimiter::wait(std::string_view key, Clock::time_point now) {
    const Bucket& bucket = refreshed(key, now);
    // A hair less than one is one: time comes in fractions.
    if (bucket.tokens >= 1 - 1e-9) return 0;
    return static_cast<uint32_t>(
        std::max(1.0, std::ceil((1 - bucket.tokens) / per_second_ - 1e-9)));
}

uint32_t RateLimiter::take(std::string_view key, Clock::time_point now) {
    const uint32_t retry_after = wait(key, now);
    if (retry_after == 0) refreshed(key, now).tokens -= 1;
    return retry_after;
}

}  // namespace pganalytics::serve
