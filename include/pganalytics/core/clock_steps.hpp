// Whether a wall clock is believed when it says that something is too old. One that went forward
// more than time passed is not for a day: were it wrong by years, everything that is kept by age
// would go, and a day is what people have to set it right. Pure: both clocks are the caller's. Runs
// in the hub worker.
#pragma once

#include <cstdint>
#include <optional>

namespace pganalytics {

class ClockSteps {
  public:
    // Microseconds.
    static constexpr int64_t kStep = 3600 * int64_t{1'000'000};
    static constexpr int64_t kGap = 24 * kStep;
    static constexpr int64_t kDoubt = 24 * kStep;

    // Before the first look: a moment that has passed for sure. A clock that is more than a day
    // beyond it may have been set meanwhile.
    void begin(int64_t known, int64_t monotonic) { trusted_ = known + kGap - kStep - monotonic; }

    // `monotonic` is of a clock that nobody sets. Answers how far the clock is beyond what it
    // should be; 0: it is believed. Set back to where it was, it is believed again at once.
    int64_t doubt(int64_t wall, int64_t monotonic);

  private:
    std::optional<int64_t> trusted_;  // wall clock when the monotonic one was 0
    std::optional<int64_t> since_;    // of the doubt, monotonic
};

}  // namespace pganalytics
