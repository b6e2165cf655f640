// The growing buffer of rows (see the header). Pure.
#include "pganalytics/serve/copy_encoder.hpp"

#include <algorithm>

namespace pganalytics::serve {

void CopyEncoder::grow(size_t bytes) {
    const size_t capacity = std::max({size_ + bytes, capacity_ * 2, size_t{4096}});
    auto data = std::make_unique_for_overwrite<char[]>(capacity);
    if (size_ > 0) std::memcpy(data.get(), data_.get(), size_);
    data_ = std::move(data);
    capacity_ = capacity;
}

}  // namespace pganalytics::serve
