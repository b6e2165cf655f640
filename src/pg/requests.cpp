// Requests of sessions (see the header). Runs in the collector.
#include "pganalytics/pg/requests.hpp"

#include "pganalytics/core/codec.hpp"
#include "pganalytics/pg/compat.hpp"
#include "pganalytics/pg/guard.hpp"
#include "pganalytics/pg/log.hpp"
#include "pganalytics/pg/request_channel.hpp"
#include "pganalytics/pg/shared_state.hpp"
#include "pganalytics/pg/transaction.hpp"

namespace pganalytics::pg {

namespace {

// Of one answer that its session does not take.
constexpr size_t kMostPendingBytes = size_t{32} << 20;

struct TakenSlot {
    uint64_t number;
    dsm_handle segment;
};

// Copies out a slot that nobody has seen and marks it.
std::optional<TakenSlot> take_slot() {
    RequestsShared& shared = shared_state()->requests;
    const SpinLock lock(shared.mutex);
    for (RequestSlot& slot : shared.slots) {
        if (slot.state != SlotState::kAsked) continue;
        slot.state = SlotState::kTaken;
        return TakenSlot{slot.number, slot.segment};
    }
    return std::nullopt;
}

// Tells the session of this request, if it still waits, that there will be no answer.
void refuse_slot(uint64_t number) {
    RequestsShared& shared = shared_state()->requests;
    Latch* asker = nullptr;
    {
        const SpinLock lock(shared.mutex);
        for (RequestSlot& slot : shared.slots) {
            if (slot.state != SlotState::kTaken || slot.number != number) continue;
            slot.state = SlotState::kFailed;
            asker = slot.asker;
        }
    }
    // A session that is gone meanwhile: one more wake-up for whoever has its place.
    if (asker != nullptr) SetLatch(asker);
}

// Nobody waits for a request that could not be taken, memory that runs out meanwhile included.
class RefusedUnlessKept {
  public:
    explicit RefusedUnlessKept(uint64_t number) : number_(number) {}
    ~RefusedUnlessKept() {
        if (!kept_) refuse_slot(number_);
    }
    RefusedUnlessKept(const RefusedUnlessKept&) = delete;
    RefusedUnlessKept& operator=(const RefusedUnlessKept&) = delete;
    void keep() { kept_ = true; }

  private:
    uint64_t number_;
    bool kept_ = false;
};

// Numbers of the slots whose sessions still wait.
size_t live_slots(uint64_t (&live)[kRequestSlots]) {
    RequestsShared& shared = shared_state()->requests;
    size_t count = 0;
    const SpinLock lock(shared.mutex);
    for (const RequestSlot& slot : shared.slots) {
        if (slot.state == SlotState::kTaken) live[count++] = slot.number;
    }
    return count;
}

}  // namespace

std::optional<Request> Requests::attach(uint64_t number, dsm_handle handle, Waiting& waiting) {
    const char* text = nullptr;
    FlatError error;
    const bool good = try_postgres(
        [&] {
            MemoryContextSwitchTo(TopMemoryContext);
            waiting.segment = attach_lasting_segment(handle);
            if (waiting.segment == nullptr) return;
            shm_toc* toc = shm_toc_attach(kRequestMagic, dsm_segment_address(waiting.segment));
            if (toc == nullptr) return;
            text = static_cast<const char*>(shm_toc_lookup(toc, kRequestKeyText, false));
            auto* mq = static_cast<shm_mq*>(shm_toc_lookup(toc, kRequestKeyQueue, false));
            shm_mq_set_sender(mq, MyProc);
            waiting.queue = shm_mq_attach(mq, waiting.segment, nullptr);
        },
        error);
    if (!good) {
        recover_from_error();
        log_limited(LOG, "request", "a session's request could not be taken", error.message);
        return std::nullopt;
    }
    if (waiting.queue == nullptr) return std::nullopt;
    uint32_t length = 0;
    std::memcpy(&length, text, sizeof length);
    auto request = decode<Request>({text + sizeof length, length});
    if (!request || request->number != number) return std::nullopt;
    return request;
}

std::vector<Request> Requests::take_new() {
    std::vector<Request> requests;
    while (const auto taken = take_slot()) {
        RefusedUnlessKept refused(taken->number);
        // What is attached has its owner from the begin; of one that is refused pump() lets go.
        auto request = attach(taken->number, taken->segment, waiting_[taken->number]);
        if (!request) continue;
        requests.push_back(*std::move(request));
        refused.keep();
    }
    return requests;
}

void Requests::add_piece(uint64_t number, std::string_view bytes) {
    const auto place = waiting_.find(number);
    if (place == waiting_.end() || place->second.ended) return;
    Waiting& waiting = place->second;
    if (waiting.bytes + bytes.size() > kMostPendingBytes) {
        // The first may be half sent.
        while (waiting.messages.size() > 1) waiting.messages.pop_back();
        return fail(number, make_error("54000", "the answer is not taken fast enough"));
    }
    waiting.messages.push_back(kAnswerPiece + std::string(bytes));
    waiting.bytes += bytes.size() + 1;
}

void Requests::finish(const AnswerEnd& end) {
    const auto place = waiting_.find(end.number);
    if (place == waiting_.end() || place->second.ended) return;
    place->second.messages.push_back(kAnswerEnd + encode(end));
    place->second.ended = true;
}

void Requests::fail(uint64_t number, const Error& error) {
    AnswerEnd end;
    end.number = number;
    end.sqlstate = error.sqlstate;
    end.message = error.message;
    end.detail = error.detail;
    end.hint = error.hint;
    finish(end);
}

void Requests::fail_all(const Error& error) {
    for (const auto& entry : waiting_) fail(entry.first, error);
}

bool Requests::send_some(Waiting& waiting) {
    while (!waiting.messages.empty()) {
        const std::string& message = waiting.messages.front();
        const char* data = message.data();
        const size_t size = message.size();
        shm_mq_result result = SHM_MQ_DETACHED;
        FlatError error;
        const bool good =
            try_postgres([&] { result = queue_send(waiting.queue, size, data); }, error);
        if (!good || result == SHM_MQ_DETACHED) return false;
        if (result == SHM_MQ_WOULD_BLOCK) return true;
        waiting.bytes -= std::min(waiting.bytes, size);
        waiting.messages.pop_front();
    }
    return !waiting.ended;
}

void Requests::detach(Waiting& waiting) {
    if (waiting.segment == nullptr) return;
    FlatError error;
    static_cast<void>(try_postgres(
        [&] {
            if (waiting.queue != nullptr) shm_mq_detach(waiting.queue);
            dsm_detach(waiting.segment);
        },
        error));
}

void Requests::pump() {
    if (waiting_.empty()) return;
    uint64_t live[kRequestSlots];
    const uint64_t* end = live + live_slots(live);
    for (auto place = waiting_.begin(); place != waiting_.end();) {
        const bool is_live =
            std::find(static_cast<const uint64_t*>(live), end, place->first) != end;
        if (is_live && send_some(place->second)) {
            ++place;
        } else {
            detach(place->second);
            place = waiting_.erase(place);
        }
    }
}

}  // namespace pganalytics::pg
