// One visit as the collector sees it (see the header). Runs in the collector.
#include "pganalytics/pg/visit.hpp"

#include "pganalytics/core/codec.hpp"
#include "pganalytics/pg/transaction.hpp"

namespace pganalytics::pg {

bool Visit::make_segment(const VisitOrder& order, const std::string& bytes, FlatError& error) {
    report_ = {};
    deadline_us_ = order.deadline_us;
    queue_ended_ = terminated_ = false;
    const auto length = static_cast<uint32_t>(bytes.size());
    const char* order_bytes = bytes.data();
    return try_postgres(
        [&] {
            if (context_ == nullptr) {
                context_ = AllocSetContextCreate(TopMemoryContext, "pganalytics visit",
                                                 ALLOCSET_DEFAULT_SIZES);
            }
            MemoryContextSwitchTo(context_);
            shm_toc_estimator estimator;
            shm_toc_initialize_estimator(&estimator);
            shm_toc_estimate_chunk(&estimator, sizeof length + length);
            shm_toc_estimate_chunk(&estimator, sizeof(VisitReport));
            shm_toc_estimate_chunk(&estimator, kVisitQueueBytes);
            shm_toc_estimate_keys(&estimator, 3);
            const Size size = shm_toc_estimate(&estimator);
            segment_ = make_lasting_segment(size);
            shm_toc* toc = shm_toc_create(kVisitMagic, dsm_segment_address(segment_), size);
            auto* place = static_cast<char*>(shm_toc_allocate(toc, sizeof length + length));
            std::memcpy(place, &length, sizeof length);
            std::memcpy(place + sizeof length, order_bytes, length);
            shm_toc_insert(toc, kVisitKeyOrder, place);
            shared_report_ = static_cast<VisitReport*>(shm_toc_allocate(toc, sizeof(VisitReport)));
            std::memset(static_cast<void*>(shared_report_), 0, sizeof(VisitReport));
            shm_toc_insert(toc, kVisitKeyReport, shared_report_);
            shm_mq* mq = shm_mq_create(shm_toc_allocate(toc, kVisitQueueBytes), kVisitQueueBytes);
            shm_toc_insert(toc, kVisitKeyQueue, mq);
            shm_mq_set_receiver(mq, MyProc);
            queue_ = shm_mq_attach(mq, segment_, nullptr);
        },
        error);
}

Visit::Started Visit::launch(FlatError& error) {
    const bool good = try_postgres(
        [&] {
            MemoryContextSwitchTo(context_);
            BackgroundWorker worker = {};
            worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
            worker.bgw_start_time = BgWorkerStart_ConsistentState;
            worker.bgw_restart_time = BGW_NEVER_RESTART;
            worker.bgw_main_arg = UInt32GetDatum(dsm_segment_handle(segment_));
            worker.bgw_notify_pid = MyProcPid;
            copy_text(worker.bgw_library_name, "pganalytics");
            copy_text(worker.bgw_function_name, "pganalytics_visitor_main");
            copy_text(worker.bgw_name, "pganalytics visitor");
            copy_text(worker.bgw_type, "pganalytics visitor");
            if (RegisterDynamicBackgroundWorker(&worker, &handle_)) {
                shm_mq_set_handle(queue_, handle_);
            } else {
                handle_ = nullptr;
            }
        },
        error);
    if (!good) return Started::kFailed;
    return handle_ != nullptr ? Started::kYes : Started::kNoWorkerSlot;
}

Visit::Started Visit::start(const VisitOrder& order, FlatError& error) {
    const std::string bytes = encode(order);
    if (!make_segment(order, bytes, error)) {
        recover_from_error();
        finish();
        return Started::kFailed;
    }
    const Started started = launch(error);
    if (started != Started::kYes) finish();
    return started;
}

bool Visit::visitor_gone() {
    BgwHandleStatus status = BGWH_STARTED;
    FlatError error;
    static_cast<void>(try_postgres(
        [&] {
            pid_t pid = 0;
            status = GetBackgroundWorkerPid(handle_, &pid);
        },
        error));
    return status == BGWH_STOPPED || status == BGWH_POSTMASTER_DIED;
}

Visit::Received Visit::receive(std::string_view& frame) {
    if (!running()) return Received::kOver;
    if (!queue_ended_) {
        shm_mq_result result = SHM_MQ_DETACHED;
        Size size = 0;
        void* data = nullptr;
        FlatError error;
        const bool good =
            try_postgres([&] { result = shm_mq_receive(queue_, &size, &data, true); }, error);
        if (good && result == SHM_MQ_SUCCESS) {
            frame = {static_cast<const char*>(data), size};
            return Received::kFrame;
        }
        if (good && result == SHM_MQ_WOULD_BLOCK) return Received::kNothing;
        queue_ended_ = true;
    }
    if (!visitor_gone()) return Received::kNothing;
    report_ = *shared_report_;
    finish();
    return Received::kOver;
}

void Visit::terminate() {
    if (!running() || terminated_) return;
    terminated_ = true;
    FlatError error;
    static_cast<void>(try_postgres([&] { TerminateBackgroundWorker(handle_); }, error));
}

void Visit::stop_listening() {
    if (!running() || queue_ended_) return;
    queue_ended_ = true;
    FlatError error;
    static_cast<void>(try_postgres(
        [&] {
            shm_mq_detach(queue_);
            queue_ = nullptr;
        },
        error));
}

void Visit::finish() {
    FlatError error;
    static_cast<void>(try_postgres(
        [&] {
            if (segment_ != nullptr) dsm_detach(segment_);
            if (context_ != nullptr) MemoryContextReset(context_);
        },
        error));
    segment_ = nullptr;
    queue_ = nullptr;
    handle_ = nullptr;
    shared_report_ = nullptr;
}

}  // namespace pganalytics::pg
