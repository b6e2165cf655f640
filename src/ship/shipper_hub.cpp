// The shipper's side towards the hub: requests, the queue, what became of pushes and enrolments.
// Runs in `pganalytics ship`.
#include <algorithm>
#include <utility>

#include "pganalytics/ship/shipper.hpp"

namespace pganalytics::ship {

namespace {

constexpr int64_t kSecond = 1'000'000;
// Fulls after refused pushes come this far apart at least: the hub may refuse those, too.
constexpr int64_t kRefusalFullInterval = 600 * kSecond;

// A little before the asking session gives up, so that it gets our reason.
int64_t deadline_of(const Request& request, Moment now) {
    const int64_t timeout = int64_t{std::max(request.timeout_ms, 0)} * 1000;
    return now.monotonic + timeout - std::min<int64_t>(timeout / 10, kSecond / 2);
}

}  // namespace

void Shipper::take_request(const Request& request) {
    switch (request.kind) {
        case RequestKind::kCollectNow:
        case RequestKind::kPreview:
            return expect_cycle(request);
        case RequestKind::kPushNow:
            waiters_.ask(request.number, deadline_of(request, now_));
            return expect_cycle(request);
        case RequestKind::kStatus:
            return answers_.send(request.number, status_report(status_source()));
        case RequestKind::kRegister:
            return take_register(request);
        case RequestKind::kUnregister:
            if (const Status gone = link_.forget(); !gone)
                return answers_.send_error(request.number, gone.error());
            link_.reload(now_);
            take_link_change();
            return answers_.send(request.number, {});
        case RequestKind::kReload:
            link_.reload(now_);
            take_link_change();
            return answers_.send(request.number, {});
    }
    answers_.send_error(request.number,
                        make_error(sqlstate::kProtocolViolation, "unknown request"));
}

// No cycle comes for a session that gave up first, and nobody tells.
void Shipper::expect_cycle(const Request& request) {
    std::erase_if(cycle_requests_,
                  [this](const auto& asked) { return asked.second.given_up_at <= now_.monotonic; });
    CycleRequest& asked = cycle_requests_[request.number];
    if (!request.arguments.empty()) asked.plugin = request.arguments[0];
    asked.given_up_at = now_.monotonic + int64_t{std::max(request.timeout_ms, 0)} * 1000;
}

void Shipper::take_register(const Request& request) {
    if (request.arguments.size() != 2)
        return answers_.send_error(request.number, make_error(sqlstate::kInvalidParameter,
                                                              "register takes url and token"));
    const Status begun = link_.enrol(request.arguments[0], request.arguments[1], request.number,
                                     deadline_of(request, now_));
    if (!begun) answers_.send_error(request.number, begun.error());
}

StatusSource Shipper::status_source() const {
    return {figures_,     link_,          queue_,
            filter_,      state_problem_, settings_ ? settings_->state_directory : std::string(),
            incarnation_, next_sequence_, now_,
            sandbox_};
}

void Shipper::open_journal() {
    Result<std::optional<Journal>> opened = Journal::open(settings_->state_directory);
    if (!opened) return log(LogLevel::kWarning, "journal", opened.error());
    journal_ = *std::move(opened);
    queue_.on_split([this](const Snapshot& whole, const SnapshotHalves& halves) {
        if (!journal_) return;
        journal(journal_->split(whole.snapshot_id, halves[0].snapshot_id, halves[1].snapshot_id));
    });
}

void Shipper::journal(const Status& written) {
    if (!written) log(LogLevel::kWarning, "journal", written.error());
}

// The cycle that was read gets its collector_id and goes into the queue, as soon as there is one.
void Shipper::send_held_cycle() {
    if (!held_ || !link_.identity()) return;
    // Before this one is there: a kill costs one cycle, not the one before it, too.
    queue_.begin_cycle();
    std::vector<Snapshot> snapshots = held_->finish(link_.identity()->collector_id, next_sequence_);
    held_.reset();
    if (journal_) journal(journal_->produced(snapshots, incarnation_));
    const uint64_t request = std::exchange(held_request_, 0);
    for (Snapshot& snapshot : snapshots) {
        snapshot.request = request;
        waiters_.expect(request, snapshot.sequence);
    }
    for (Snapshot& snapshot : snapshots) lose(queue_.push(std::move(snapshot)));
    queue_.service(now_);
    if (waiters_.waits(request)) link_.delivery().hurry();
}

// Its rows count as sent in the filter, so everything has to be sent anew.
void Shipper::drop_held_cycle() {
    if (!held_) return;
    held_.reset();
    held_request_ = 0;
    ++figures_.cycles_not_sent;
    schedule_.require_all();
}

void Shipper::lose(const std::vector<Snapshot>& lost) {
    for (const Snapshot& snapshot : lost) {
        for (const RowsetGroup group : snapshot.groups) schedule_.require(group);
        waiters_.lost(snapshot);
    }
}

// Earlier runs have told theirs.
void Shipper::forget_losses_before() {
    told_dropped_ = queue_.losses().dropped().snapshots;
    told_damaged_ = queue_.losses().total(LossReason::kDamaged).snapshots;
}

// Writes what has to last, and tells what could not be kept.
void Shipper::look_after_queue() {
    queue_.service(now_);
    for (const RowsetGroup group : queue_.take_lost_groups()) schedule_.require(group);
    const std::string problem = queue_.problem() ? queue_.problem()->message : std::string();
    if (problem != std::exchange(told_problem_, problem) && !problem.empty())
        log(LogLevel::kWarning, "spool", *queue_.problem());
    const Losses dropped = queue_.losses().dropped();
    if (dropped.snapshots > std::exchange(told_dropped_, dropped.snapshots))
        log(LogLevel::kWarning, "queue",
            make_error(sqlstate::kProgramLimit,
                       "the queue has no room: " + std::to_string(dropped.snapshots) +
                           " snapshots (" + std::to_string(dropped.rows) +
                           " rows) dropped since it was made",
                       "The oldest ones go first. The hub has not taken pushes for too long.",
                       "See pganalytics_status(), component \"hub\"."));
    const Losses damaged = queue_.losses().total(LossReason::kDamaged);
    if (damaged.snapshots > std::exchange(told_damaged_, damaged.snapshots))
        log(LogLevel::kWarning, "spool damaged",
            make_error(sqlstate::kIoError,
                       std::to_string(damaged.snapshots) +
                           " snapshots in the spool were damaged and are lost",
                       "A crash can cut off what was being written. Files damaged otherwise are "
                       "set aside.",
                       "See pganalytics_status(), components \"spool\" and \"damaged\"."));
}

// Another collector_id, or none: what is queued was addressed to the one before.
void Shipper::take_link_change() {
    if (!link_.take_changed()) return;
    const std::optional<Identity>& identity = link_.identity();
    for (const Snapshot& snapshot :
         queue_.set_collector(identity ? std::optional(identity->collector_id) : std::nullopt))
        waiters_.lost(snapshot);
    schedule_.require_all();
}

void Shipper::serve_hub() {
    link_.service(now_);
    if (link_.take_self_enrolment_wish(now_)) socket_.send_message(NeedSelfEnrolment{});
    take_link_change();
    take_enrolment_outcomes();
    send_held_cycle();
    for (const DeliveryEvent& event : link_.delivery().take_events()) take_delivery_event(event);
    fail_hopeless_waiters();
    look_after_queue();
}

void Shipper::take_enrolment_outcomes() {
    for (const HubLink::Note& note : link_.take_notes())
        log(note.level, note.level == LogLevel::kInfo ? "certificate renewed" : "certificate",
            note.error);
    for (const HubLink::Outcome& outcome : link_.take_outcomes()) {
        if (outcome.error) {
            log(LogLevel::kWarning, "enrolment", *outcome.error);
            if (outcome.request != 0) answers_.send_error(outcome.request, *outcome.error);
            if (!link_.identity()) waiters_.fail_all(*outcome.error);
            continue;
        }
        log(LogLevel::kInfo, "enrolment",
            make_error("00000", "enrolled with the hub as collector " +
                                    uuid_text(link_.identity()->collector_id)));
        if (outcome.request != 0)
            answers_.send(outcome.request, uuid_text(link_.identity()->collector_id));
    }
}

void Shipper::take_delivery_event(const DeliveryEvent& event) {
    using Kind = DeliveryEvent::Kind;
    waiters_.take(event);
    if (event.kind == Kind::kFailed) {
        was_failing_ = true;
        return log(LogLevel::kWarning, "delivery", event.error);
    }
    if (event.kind == Kind::kDelivered) {
        if (event.answer.want_full) schedule_.require_all();
        // JSON of digits and names takes less than half its size when gzipped.
        if (event.answer.max_body)
            slice_bytes_ = std::clamp(
                static_cast<size_t>(std::min<uint64_t>(*event.answer.max_body, kSliceBytes)) * 2,
                kSmallestSliceBytes, slice_bytes_);
        if (std::exchange(was_failing_, false))
            log(LogLevel::kInfo, "delivery restored",
                make_error("00000", "the hub takes pushes again"));
        return;
    }
    const bool conflict = event.answer.verdict == Verdict::kConflict;
    log(conflict ? LogLevel::kError : LogLevel::kWarning, conflict ? "conflict" : "refused",
        event.error);
    if (event.status == 413) slice_bytes_ = std::max(slice_bytes_ / 2, kSmallestSliceBytes);
    if (event.kind == Kind::kSplit) return;
    refusal_full_at_ = std::max(now_.monotonic, refusal_full_at_);
    for (const RowsetGroup group : event.snapshot.groups)
        schedule_.require(group, refusal_full_at_);
    refusal_full_at_ = std::max(refusal_full_at_, now_.monotonic + kRefusalFullInterval);
}

// Nobody waits for what can't happen.
void Shipper::fail_hopeless_waiters() {
    if (waiters_.empty()) return;
    const bool hub = link_.identity() || link_.enrolling() || link_.expects_self_enrolment();
    if (!hub) waiters_.fail_all(link_.problem());
    if (link_.identity() && link_.delivery().held()) waiters_.fail_all(*link_.delivery().held());
}

void Shipper::answer_waiters() {
    waiters_.expire(now_.monotonic, link_.problem());
    for (PushWaiters::Answer& answer : waiters_.take_answers()) {
        if (answer.error) {
            answers_.send_error(answer.request, *answer.error);
        } else {
            answers_.send(answer.request, std::move(answer.rows));
        }
    }
}

}  // namespace pganalytics::ship
