// Frames: what a worker and its program say to each other over the socket pair.
//
//   frame := u32 length of the rest (2 .. kMaxFrameBytes), u8 type, u8 version, payload
//
// Little endian. A frame of another version, of an unknown type or beyond the limit ends the
// conversation: the worker kills the program, the program ends.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "pganalytics/core/codec.hpp"

namespace pganalytics {

inline constexpr size_t kMaxFrameBytes = size_t{1} << 20;
// Senders of rows cut before this, so that a frame never comes near the limit.
inline constexpr size_t kRowsFrameBytes = size_t{256} << 10;
inline constexpr size_t kFrameHeaderBytes = 6;
inline constexpr uint8_t kFrameVersion = 1;

enum class FrameType : uint8_t {
    // both ways, every program
    kHello = 1,
    kHeartbeat = 2,
    kHeartbeatAnswer = 3,
    kLog = 4,
    kStop = 5,
    // visitor -> collector (messages in pg/visit_order.hpp)
    kRowsetAbsent = 8,
    kOwnDefinitions = 9,
    // collector -> ship (messages in ship_messages.hpp)
    kShipSettings = 16,
    kServerFacts = 17,
    kCycleBegin = 18,
    kRowsetBegin = 19,
    kRowsetRows = 20,
    kRowsetEnd = 21,
    kCycleEnd = 22,
    kRequest = 23,
    kSelfEnrol = 24,
    // ship -> collector
    kAnswerPart = 32,
    kAnswerEnd = 33,
    kNeedSelfEnrolment = 34,
    kNeedComplete = 35,
    // hub -> serve (messages in serve_messages.hpp)
    kServeSettings = 48,
    kServeTargets = 49,
    kCollectorState = 50,
    kCollectorGone = 51,
    kOpen = 52,
    kHubHealth = 53,
    kPushResult = 54,
    kRegisterResult = 55,
    // serve -> hub
    kPushBegin = 64,
    kPushRows = 65,
    kPushEnd = 66,
    kRegister = 67,
    kCertificateUsed = 68,
    kListening = 69,
    kRenew = 70,
    kFilesReplaced = 71,
    // hub -> keys, keys -> hub (messages in keys_messages.hpp)
    kKeysInit = 80,
    kKeysInitResult = 81,
    kKeysSign = 82,
    kKeysSignResult = 83,
};

struct Frame {
    FrameType type{};
    std::string_view payload;
};

std::string make_frame(FrameType type, std::string_view payload);

template <class Message>
std::string make_frame(const Message& message) {
    return make_frame(Message::kType, encode(message));
}

// Cuts a byte stream into frames. Bytes are hostile. A view from next() lives until the next call
// of feed() or next().
class FrameSplitter {
  public:
    void feed(std::string_view bytes);
    // Empty when no whole frame is there, and for ever once failed() is true.
    std::optional<Frame> next();
    bool failed() const { return failed_; }
    size_t buffered() const { return buffer_.size() - start_; }

  private:
    std::string buffer_;
    size_t start_ = 0;
    bool failed_ = false;
};

// --- messages of every program

inline constexpr uint32_t kProtocolNumber = 1;

// First frame in each direction. A program that meets another version than its own says so in its
// answer and ends; the worker reports "restart the server to finish the upgrade".
struct Hello {
    static constexpr FrameType kType = FrameType::kHello;
    uint32_t protocol = kProtocolNumber;
    std::string version;
    uint64_t catalog_digest = 0;
    static void fields(auto& self, auto& codec) {
        codec(self.protocol, self.version, self.catalog_digest);
    }
};

struct Heartbeat {
    static constexpr FrameType kType = FrameType::kHeartbeat;
    uint64_t number = 0;
    static void fields(auto& self, auto& codec) { codec(self.number); }
};

struct HeartbeatAnswer {
    static constexpr FrameType kType = FrameType::kHeartbeatAnswer;
    uint64_t number = 0;
    static void fields(auto& self, auto& codec) { codec(self.number); }
};

enum class LogLevel : uint8_t { kDebug = 0, kInfo = 1, kWarning = 2, kError = 3 };

// A line for the server's log. The worker writes at most one line a `cause` a minute.
struct LogLine {
    static constexpr FrameType kType = FrameType::kLog;
    LogLevel level = LogLevel::kInfo;
    std::string cause;  // short, fixed: "hub unreachable"
    std::string message;
    std::string detail;
    std::string hint;
    static void fields(auto& self, auto& codec) {
        codec(self.level, self.cause, self.message, self.detail, self.hint);
    }
};

struct Stop {
    static constexpr FrameType kType = FrameType::kStop;
    static void fields(auto&, auto& codec) { codec(); }
};

}  // namespace pganalytics
