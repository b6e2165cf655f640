// Memory that runs out at a chosen allocation: of operator new, of the coroutines' frames, and of
// OpenSSL. In a program of its own, because it puts functions of the test's in the places of all
// three.
#pragma once

#include <cstdint>

namespace pganalytics::testing {

// From its making to its end, the allocation `at` (1 is the next one) fails, and it alone. 0: none.
class FailingAllocation {
  public:
    explicit FailingAllocation(uint64_t at);
    ~FailingAllocation();
    FailingAllocation(const FailingAllocation&) = delete;
    FailingAllocation& operator=(const FailingAllocation&) = delete;

    // Whether there were as many.
    bool failed() const;
};

// What a test does meanwhile for the other side of a conversation is not counted.
class Uncounted {
  public:
    Uncounted();
    ~Uncounted();
    Uncounted(const Uncounted&) = delete;
    Uncounted& operator=(const Uncounted&) = delete;
};

}  // namespace pganalytics::testing
