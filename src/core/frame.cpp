// Frames as bytes (see the header). Runs in the workers and in the program.
#include "pganalytics/core/frame.hpp"

#include <cstring>

namespace pganalytics {

std::string make_frame(FrameType type, std::string_view payload) {
    ByteWriter out;
    out.u32(static_cast<uint32_t>(payload.size() + 2));
    out.u8(static_cast<uint8_t>(type));
    out.u8(kFrameVersion);
    out.raw(payload);
    return out.take();
}

void FrameSplitter::feed(std::string_view bytes) {
    if (failed_) return;
    if (start_ > 0) {
        buffer_.erase(0, start_);
        start_ = 0;
    }
    buffer_.append(bytes);
}

std::optional<Frame> FrameSplitter::next() {
    if (failed_ || buffered() < kFrameHeaderBytes) return std::nullopt;
    uint32_t length = 0;
    std::memcpy(&length, buffer_.data() + start_, sizeof length);
    const auto version = static_cast<uint8_t>(buffer_[start_ + 5]);
    if (length < 2 || length > kMaxFrameBytes || version != kFrameVersion) {
        failed_ = true;
        buffer_.clear();
        start_ = 0;
        return std::nullopt;
    }
    if (buffered() < sizeof length + length) return std::nullopt;
    Frame frame;
    frame.type = static_cast<FrameType>(static_cast<uint8_t>(buffer_[start_ + 4]));
    frame.payload = std::string_view(buffer_).substr(start_ + kFrameHeaderBytes, length - 2);
    start_ += sizeof length + length;
    return frame;
}

}  // namespace pganalytics
