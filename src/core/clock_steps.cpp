// Steps of a wall clock (see the header). Runs in the hub worker.
#include "pganalytics/core/clock_steps.hpp"

namespace pganalytics {

int64_t ClockSteps::doubt(int64_t wall, int64_t monotonic) {
    const int64_t now = wall - monotonic;
    const int64_t step = trusted_ ? now - *trusted_ : 0;
    if (step > kStep) {
        if (!since_) since_ = monotonic;
        if (monotonic - *since_ < kDoubt) return step;
    }
    trusted_ = now;
    since_.reset();
    return 0;
}

}  // namespace pganalytics
