// Every limit of the front, in one place (docs/protocol.md lists them for people). The comment
// behind each names the code that enforces it. Runs in `pganalytics serve`.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace pganalytics::serve {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

// --- connections (Admission, Connection)

inline constexpr seconds kHandshakeTime{5};                 // Connection::run
inline constexpr size_t kUnfinishedHandshakes = 64;         // Admission::begin_handshake
inline constexpr size_t kUnfinishedHandshakesAddress = 32;  // Admission::begin_handshake
inline constexpr size_t kConnectionsCertificate = 4;        // Admission::bind_certificate
// Connections beyond pganalytics.hub_max_connections that get a handshake and a 503; the next ones
// are closed at once.
inline constexpr size_t kOverflowConnections = 16;  // Admission::begin_handshake
// Part of pganalytics.hub_max_connections for clients without a certificate, so that strangers
// cannot keep collectors out.
inline constexpr size_t kStrangersShare = 4;        // Admission::finish_handshake
inline constexpr seconds kIdleTime{60};             // Connection::await_request
inline constexpr minutes kConnectionAge{60};        // Connection::await_request
inline constexpr minutes kAgeAfterReload{5};        // Connection::await_request
inline constexpr milliseconds kSweepInterval{100};  // Front::sweep: overshoot of every deadline
inline constexpr seconds kLingerTime{2};            // Connection::run
// A body a little over the limit is read to its end, or its sender meets a closed connection before
// he has read why.
inline constexpr size_t kLingerBytes = size_t{5} * 1024 * 1024;  // TlsStream::close

// --- the head of a request (HeadScanner, parse_request_head)

inline constexpr seconds kHeadTime{5};  // Connection::read_head
inline constexpr size_t kRequestLineBytes = size_t{2} * 1024;
inline constexpr size_t kHeaderBytes = size_t{8} * 1024;
inline constexpr size_t kHeaderFields = 50;
inline constexpr size_t kMethodBytes = 16;

// --- its body (Connection::read_body)

inline constexpr seconds kRequestTime{30};                    // from the first byte of the head
inline constexpr seconds kBodyGrace{5};                       // then kBodyRate in the mean
inline constexpr size_t kBodyRate = 1024;                     // bytes a second
inline constexpr size_t kSmallBodyBytes = size_t{16} * 1024;  // of every route but push
// A refused request with a body up to this is read to its end and the connection kept.
inline constexpr size_t kSkippedBodyBytes = size_t{64} * 1024;
inline constexpr size_t kBodiesInMemory = size_t{128} << 20;  // wire bytes of all, BodyBudget
inline constexpr seconds kAnswerTime{10};                     // Connection::write_answer

// --- pushes (push_route.cpp, decode_push)

inline constexpr size_t kInflatedBytes = size_t{32} << 20;
inline constexpr size_t kPushesInMemory = 4;  // inflated, parsed, not yet with the worker
inline constexpr seconds kPushSlotWait{5};
inline constexpr seconds kWorkerTime{10};  // from the handing over to the worker's answer
// Row bytes with the worker and not answered yet; a single push may go beyond it alone.
inline constexpr size_t kWorkerWindow = size_t{16} << 20;  // WorkerLink::admit
inline constexpr seconds kWorkerAway{15};       // without a heartbeat: WorkerLink::worker_away
inline constexpr uint32_t kRetryAfterBusy = 2;  // seconds
inline constexpr uint32_t kRetryAfterAway = 5;

// --- JSON (StrictJson)

inline constexpr size_t kJsonDepth = 32;
inline constexpr size_t kJsonMembers = 256;
inline constexpr size_t kJsonTokens = 4'000'000;
inline constexpr size_t kJsonStringBytes = size_t{64} * 1024;
inline constexpr size_t kJsonNumberBytes = 32;

// --- rows (decode_push)

inline constexpr size_t kPushCells = 8'000'000;  // rows times columns of their tables
// Of one row, so that a frame of it never comes near kMaxFrameBytes.
inline constexpr size_t kRowBytes = size_t{512} << 10;
inline constexpr size_t kUnknownNames = 64;     // reported one by one; the rest in one count
inline constexpr size_t kNameBytes = 63;        // of such a name, as PostgreSQL's
inline constexpr size_t kShortTextBytes = 255;  // hostname, version, datname

inline constexpr int64_t kOldestTime = int64_t{31} * 86'400 * 1'000'000;  // microseconds
inline constexpr int64_t kFutureTime = int64_t{600} * 1'000'000;

// --- rates (RateLimits)

inline constexpr double kPushesPerSecond = 2;
inline constexpr double kPushBurst = 20;
inline constexpr double kTokensPerSecond = 6.0 / 60;  // of tokens, and of renewed certificates
inline constexpr double kTokenBurst = 6;
inline constexpr double kFailedRegistersPerSecond = 3.0 / 60;
inline constexpr double kFailedRegisterBurst = 3;
inline constexpr double kRegistersPerSecond = 20;
inline constexpr double kRegisterBurst = 20;
inline constexpr double kLogLinesPerSecond = 1.0 / 60;  // FrontState::note_refusal
inline constexpr double kLogLineBurst = 2;
inline constexpr size_t kRateKeys = 20'000;  // keys remembered by one limiter

// --- the worker's lists (Collectors, targets)

inline constexpr size_t kMostCollectors = 100'000;
inline constexpr size_t kCertificatesCollector = 8;
inline constexpr size_t kRegistersWaiting = 64;  // WorkerLink::enrol

// --- the process (Front)

inline constexpr uint64_t kMemoryBase = uint64_t{768} << 20;
inline constexpr uint64_t kMemoryConnection = uint64_t{64} * 1024;
inline constexpr int kBacklog = 256;
inline constexpr seconds kListenRetry{5};
inline constexpr seconds kFilesLook{60};
inline constexpr milliseconds kAcceptPause{100};  // after an accept that failed

// --- what the answer to a push tells its sender to do

inline constexpr uint32_t kNextCheckSeconds = 300;

}  // namespace pganalytics::serve
