// Waiting push_now calls (see the header). Runs in `pganalytics ship`.
#include "pganalytics/ship/push_waiters.hpp"

#include <algorithm>
#include <utility>

#include "pganalytics/core/ship_messages.hpp"
#include "pganalytics/net/sha256.hpp"

namespace pganalytics::ship {

void PushWaiters::ask(uint64_t request, int64_t deadline) {
    waiting_.try_emplace(request,
                         Waiting{deadline, {}, RowBuilder(answer_types(RequestKind::kPushNow))});
}

void PushWaiters::expect(uint64_t request, uint64_t sequence) {
    const auto found = waiting_.find(request);
    if (found != waiting_.end()) found->second.sequences.insert(sequence);
}

void PushWaiters::take(const DeliveryEvent& event) {
    if (event.kind == DeliveryEvent::Kind::kFailed) {
        if (!event.may_pass) fail_all(event.error);
        return;
    }
    const auto found = waiting_.find(event.snapshot.request);
    if (found == waiting_.end()) return;
    if (event.kind != DeliveryEvent::Kind::kDelivered)
        return fail(event.snapshot.request, event.error);
    Waiting& waiting = found->second;
    RowBuilder& rows = waiting.rows;
    rows.begin();
    rows.text(net::as_text(event.snapshot.snapshot_id));
    rows.integer(static_cast<int64_t>(event.snapshot.sequence));
    rows.integer(static_cast<int64_t>(event.snapshot.rows));
    rows.integer(static_cast<int64_t>(event.snapshot.bytes_json));
    rows.integer(static_cast<int64_t>(event.bytes_gzip));
    rows.text("success");
    rows.boolean(event.answer.duplicate);
    rows.integer(static_cast<int64_t>(event.answer.inserted));
    rows.integer(event.took);
    rows.end();
    waiting.sequences.erase(event.snapshot.sequence);
    if (!waiting.sequences.empty()) return;
    answers_.push_back({found->first, rows.take(), std::nullopt});
    waiting_.erase(found);
}

void PushWaiters::lost(const Snapshot& snapshot) {
    if (waits(snapshot.request))
        fail(snapshot.request,
             make_error(sqlstate::kProgramLimit, "the queue has no room for this push", {},
                        "Raise pganalytics.spool_limit or pganalytics.memory_limit."));
}

void PushWaiters::fail(uint64_t request, Error error) {
    if (waiting_.erase(request) > 0) answers_.push_back({request, {}, std::move(error)});
}

void PushWaiters::fail_all(const Error& error) {
    for (const auto& [request, waiting] : waiting_) answers_.push_back({request, {}, error});
    waiting_.clear();
}

void PushWaiters::expire(int64_t now, const Error& reason) {
    for (auto waiting = waiting_.begin(); waiting != waiting_.end();) {
        if (now < waiting->second.deadline) {
            ++waiting;
            continue;
        }
        const std::string what = waiting->second.sequences.empty()
                                     ? "the cycle was not sent within the time allowed"
                                     : "the hub has not answered within the time allowed";
        const std::string detail =
            reason.message.empty() ? "" : "The last thing that went wrong: " + reason.message + ".";
        answers_.push_back(
            {waiting->first,
             {},
             make_error(sqlstate::kQueryCanceled, what, detail,
                        reason.hint.empty() ? "The push is kept and sent later." : reason.hint)});
        waiting = waiting_.erase(waiting);
    }
}

std::optional<int64_t> PushWaiters::next_deadline() const {
    std::optional<int64_t> first;
    for (const auto& [request, waiting] : waiting_)
        first = std::min(first.value_or(waiting.deadline), waiting.deadline);
    return first;
}

std::vector<PushWaiters::Answer> PushWaiters::take_answers() { return std::exchange(answers_, {}); }

}  // namespace pganalytics::ship
