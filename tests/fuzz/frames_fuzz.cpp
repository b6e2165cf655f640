// Frames and every message in them: bytes of a process that may have been taken over.
#include "check.hpp"
#include "pganalytics/core/frame.hpp"
#include "pganalytics/core/keys_messages.hpp"
#include "pganalytics/core/serve_messages.hpp"
#include "pganalytics/core/ship_messages.hpp"

namespace pganalytics {

namespace {

// What could be read can be written, and reads as the same.
template <class Message>
bool try_message(const Frame& frame) {
    if (frame.type != Message::kType) return false;
    const auto message = decode<Message>(frame.payload);
    if (message) {
        const std::string once = encode(*message);
        const auto again = decode<Message>(once);
        FUZZ_CHECK(again.has_value());
        FUZZ_CHECK(encode(*again) == once);
    }
    return true;
}

template <class... Messages>
void try_messages(const Frame& frame) {
    (try_message<Messages>(frame) || ...);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size == 0) return 0;
    // The bytes come in two pieces, cut anywhere: the frames must be the same.
    const std::string_view bytes = fuzz_text(data + 1, size - 1);
    const size_t cut = bytes.size() * data[0] / 255;
    FrameSplitter whole;
    FrameSplitter pieces;
    whole.feed(bytes);
    pieces.feed(bytes.substr(0, cut));
    std::string first;
    size_t frames = 0;
    while (const auto frame = pieces.next()) {
        first += make_frame(frame->type, frame->payload);
        ++frames;
    }
    pieces.feed(bytes.substr(cut));
    while (const auto frame = pieces.next()) {
        first += make_frame(frame->type, frame->payload);
        ++frames;
    }
    std::string second;
    while (const auto frame = whole.next()) {
        second += make_frame(frame->type, frame->payload);
        try_messages<Hello, Heartbeat, HeartbeatAnswer, LogLine, Stop, ShipSettings, ServerFacts,
                     CycleBegin, RowsetBegin, RowsetEnd, CycleEnd, Request, SelfEnrol,
                     NeedSelfEnrolment, NeedComplete, AnswerPart, AnswerEnd, ServeSettings,
                     ServeTargets, CollectorState, CollectorGone, Open, Listening, HubHealth,
                     PushBegin, PushEnd, PushResult, Register, Renew, RegisterResult, PushRows,
                     CertificateUsed, KeysInit, KeysInitResult, KeysSign, KeysSignResult>(*frame);
    }
    FUZZ_CHECK(first == second);
    FUZZ_CHECK(whole.failed() == pieces.failed());
    return 0;
}

}  // namespace pganalytics
