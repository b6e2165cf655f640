// Copies of byte strings in blocks that never move: no growing buffer, hence no copy of everything
// and no moment at which old and new buffer exist side by side.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <string_view>
#include <vector>

namespace pganalytics {

class ByteArena {
  public:
    // The copy lives until clear(). Throws std::bad_alloc only.
    std::string_view copy(std::string_view bytes) {
        if (bytes.empty()) return {};
        if (bytes.size() > left_) {
            const size_t usual = held_ < kManyBytes ? kBlockBytes : kLargeBlockBytes;
            const size_t size = std::max(usual, bytes.size());
            blocks_.push_back(std::make_unique_for_overwrite<char[]>(size));
            next_ = blocks_.back().get();
            left_ = size;
            held_ += size;
        }
        char* const start = next_;
        std::memcpy(start, bytes.data(), bytes.size());
        next_ += bytes.size();
        left_ -= bytes.size();
        return {start, bytes.size()};
    }

    void clear() {
        blocks_.clear();
        next_ = nullptr;
        left_ = held_ = 0;
    }

    size_t held() const { return held_; }

  private:
    // Small blocks come from the heap, where the next use finds their pages again. What is beyond
    // many of them is seldom, and goes back to the system at once when it is freed (these are above
    // malloc's threshold): the heap would keep it below whatever was allocated meanwhile.
    static constexpr size_t kBlockBytes = size_t{256} << 10;
    static constexpr size_t kManyBytes = size_t{4} << 20;
    static constexpr size_t kLargeBlockBytes = size_t{2} << 20;
    std::vector<std::unique_ptr<char[]>> blocks_;
    char* next_ = nullptr;
    size_t left_ = 0;
    size_t held_ = 0;
};

}  // namespace pganalytics
