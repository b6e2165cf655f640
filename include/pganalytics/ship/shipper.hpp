// `pganalytics ship`: the event loop between the collector worker's frames and the hub. Nothing in
// it blocks but the wait for events, and for the spool's disk a moment; what may hang is a job of a
// thread beside it (host/side_thread.hpp).
//
// A cycle: CycleBegin -> host's rowsets begin to be read beside it -> rowsets -> CycleEnd -> the
// host's rowsets, or their absence after a while -> snapshots -> queue -> delivery. While an
// enrolment is under way the newest cycle is held, unfinished, and gets its collector_id then;
// without a hub cycles are only counted.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pganalytics/core/full_schedule.hpp"
#include "pganalytics/core/ship_messages.hpp"
#include "pganalytics/core/sparse_filter.hpp"
#include "pganalytics/host/files.hpp"
#include "pganalytics/host/process.hpp"
#include "pganalytics/host/process_io.hpp"
#include "pganalytics/host/sandbox.hpp"
#include "pganalytics/host/server_processes.hpp"
#include "pganalytics/host/side_thread.hpp"
#include "pganalytics/net/frame_socket.hpp"
#include "pganalytics/ship/answers.hpp"
#include "pganalytics/ship/cycle.hpp"
#include "pganalytics/ship/host_reader.hpp"
#include "pganalytics/ship/hub_link.hpp"
#include "pganalytics/ship/journal.hpp"
#include "pganalytics/ship/own_rowsets.hpp"
#include "pganalytics/ship/push_waiters.hpp"
#include "pganalytics/ship/spool_queue.hpp"
#include "pganalytics/ship/status_report.hpp"

namespace pganalytics::ship {

class Shipper {
  public:
    Shipper();

    // Until the worker ends the conversation. The process's exit status.
    int run();

  private:
    void wait();
    bool take_frames();
    Status take(const Frame& frame);
    Status take_settings(const ShipSettings& settings);
    void take_facts(const ServerFacts& facts);
    void take_request(const Request& request);
    void expect_cycle(const Request& request);
    void take_register(const Request& request);
    void set_up_state_directory();
    void look_at_state_directory();
    void open_journal();
    void journal(const Status& written);
    void start_io_helper();
    void enter_sandbox();
    bool needs_new_process() const;
    bool only_new_process_reaches(const std::string& directory) const;
    void look_at_sandbox();
    void begin_anew(std::string_view why);
    void begin_anew_where_due();
    void inherit_own_groups();
    void keep_own_groups();
    bool own_groups_kept();

    Status begin_cycle(const CycleBegin& begin);
    void begin_host_reading();
    void begin_file_sizes();
    void take_file_sizes();
    void finish_file_sizes();
    void keep_file_list(const UnfilledRowset& one, const HostRowset* filled);
    void end_cycle_where_due();
    void finish_cycle();
    void send_held_cycle();
    void drop_held_cycle();
    void lose(const std::vector<Snapshot>& lost);
    void look_after_queue();
    void forget_losses_before();
    void add_own_rowsets();
    void count(const Cycle& cycle);
    void answer_collect_now(uint64_t request, const Cycle& cycle);

    void serve_hub();
    void take_link_change();
    void take_delivery_event(const DeliveryEvent& event);
    void take_enrolment_outcomes();
    void fail_hopeless_waiters();
    void answer_waiters();
    StatusSource status_source() const;
    void log(LogLevel level, std::string_view cause, const Error& error);

    int exit_status_ = 0;
    Moment now_;
    net::FrameSocket socket_;
    bool frames_left_ = false;  // perhaps: more were there than are taken at once
    Answers answers_;
    PushWaiters waiters_;
    struct CycleRequest {
        std::string plugin;
        int64_t given_up_at = 0;  // monotonic
    };
    std::map<uint64_t, CycleRequest> cycle_requests_;  // asked, their cycle not begun yet

    std::optional<ShipSettings> settings_;
    std::optional<ServerFacts> facts_;
    std::optional<RowsetShapes> shapes_;
    std::optional<host::FileLock> state_lock_;
    std::optional<Error> state_problem_;
    int64_t look_at_state_at_ = 0;
    int64_t new_process_for_state_at_ = 0;
    std::optional<Journal> journal_;

    int64_t started_at_;  // wall clock
    SparseFilter filter_;
    FullSchedule schedule_;
    OwnGroups own_groups_;
    host::SideThread own_writer_;
    std::shared_ptr<Status> own_kept_;  // its job's, until that has ended
    LeftOuts left_outs_;
    SlicedRowsets slices_;
    std::unique_ptr<Cycle> cycle_;
    host::ServerProcesses processes_{host::now_us()};
    host::ProcessIoHelper io_helper_;
    host::Sandbox sandbox_;
    int64_t look_at_sandbox_at_ = 0;
    std::string anew_because_;  // only a new process gets at what it needs
    int64_t anew_patience_until_ = 0;
    int64_t begin_anew_at_ = 0;
    bool told_put_off_ = false;
    bool anew_ = false;  // the worker starts it
    HostReader volumes_;
    bool awaits_volumes_ = false;  // the cycle under way
    bool volumes_missed_ = false;
    std::vector<HostRowset> host_rowsets_;  // read for it
    FileLists file_lists_;
    HostReader files_;
    bool awaits_files_ = false;
    std::vector<HostRowset> file_sizes_;  // one for each that the cycle could not fill
    int64_t host_deadline_ = 0;
    uint64_t cycle_cpu_ = 0;  // of the process at its begin

    Uuid incarnation_;
    uint64_t next_sequence_ = 1;
    size_t slice_bytes_ = kSliceBytes;
    std::unique_ptr<SnapshotWriter> held_;  // waits for a collector_id
    uint64_t held_request_ = 0;

    SpoolQueue queue_;
    uint64_t told_dropped_ = 0;  // losses that were logged
    uint64_t told_damaged_ = 0;
    std::string told_problem_;
    HubLink link_;
    int64_t refusal_full_at_ = 0;
    bool was_failing_ = false;
    ShipFigures figures_;
    RowsetCosts costs_;
};

}  // namespace pganalytics::ship
