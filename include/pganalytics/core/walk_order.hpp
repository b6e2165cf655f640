// In which order a walk over something scattered in memory came by what, so that the next walk over
// much the same can ask the processor for what comes in a moment: else it waits for each piece in
// turn. Addresses are remembered, never looked into; that something else stands there by now, or
// nothing at all, costs a moment. Eight bytes a piece. Runs in the collector.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace pganalytics {

class WalkOrder {
  public:
    static constexpr size_t kEntryAhead = 16;  // an entry has to be there to be walked over
    static constexpr size_t kBodyAhead = 8;

    // A walk begins. The only moment at which memory is taken.
    void begin() {
        const size_t room = passed_ + passed_ / 8 + kSpare;
        if (places_.size() < room || places_.size() / 2 > room) places_.resize(room);
        places_.shrink_to_fit();
        passed_ = 0;
    }

    // The next piece: an entry in a list, and a body of some size elsewhere.
    void pass(const void* entry, const void* body, size_t body_bytes) {
        const size_t here = passed_++;
        if (here == 0) base_ = reinterpret_cast<uintptr_t>(entry);
        if (here + kEntryAhead < places_.size())
            __builtin_prefetch(at(places_[here + kEntryAhead][0]));
        if (here + kBodyAhead < places_.size()) {
            const char* const soon = at(places_[here + kBodyAhead][1]);
            for (size_t i = 0; i < body_bytes; i += kCacheLine) __builtin_prefetch(soon + i);
        }
        if (here < places_.size()) places_[here] = {far(entry), far(body)};
    }

    // So far.
    size_t passed() const { return passed_; }

  private:
    static constexpr size_t kSpare = 1024;
    static constexpr size_t kCacheLine = 64;
    static constexpr int64_t kUnit = 8;

    // From the first piece of a walk; 0 for what is too far away to be remembered so.
    int32_t far(const void* address) const {
        const auto units =
            static_cast<int64_t>(reinterpret_cast<uintptr_t>(address) - base_) / kUnit;
        return units == static_cast<int32_t>(units) ? static_cast<int32_t>(units) : 0;
    }
    const char* at(int32_t units) const {
        return reinterpret_cast<const char*>(base_ + static_cast<uintptr_t>(units * kUnit));
    }

    std::vector<std::array<int32_t, 2>> places_;
    uintptr_t base_ = 0;
    size_t passed_ = 0;
};

}  // namespace pganalytics
