// How long to wait before the next try: full jitter between `shortest` and a bound that doubles
// with each failure up to `longest`, so that a fleet that lost its hub does not come back at one
// moment. Randomness is the caller's.
#pragma once

#include <algorithm>
#include <cstdint>

namespace pganalytics {

class Backoff {
  public:
    // Microseconds.
    Backoff(int64_t shortest, int64_t longest) : shortest_(shortest), longest_(longest) {}

    // The wait after one more failure; `fraction` is uniform in [0, 1).
    int64_t next(double fraction) {
        // Beyond 40 doublings the bound is any `longest`.
        failures_ = std::min(failures_ + 1, 40U);
        const int64_t bound =
            shortest_ >= (longest_ >> failures_) ? longest_ : shortest_ << failures_;
        return shortest_ + static_cast<int64_t>(fraction * static_cast<double>(bound - shortest_));
    }
    void reset() { failures_ = 0; }
    unsigned failures() const { return failures_; }

  private:
    int64_t shortest_;
    int64_t longest_;
    unsigned failures_ = 0;
};

}  // namespace pganalytics
