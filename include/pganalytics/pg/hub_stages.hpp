// What the hub worker is doing, step by step (the states are drawn in hub_worker.hpp). One object
// in the worker's life. Runs in the hub worker.
#pragma once

#include <deque>
#include <string>

#include "pganalytics/core/clock_steps.hpp"
#include "pganalytics/core/hub_names.hpp"
#include "pganalytics/pg/hub_enrolment.hpp"
#include "pganalytics/pg/hub_front.hpp"
#include "pganalytics/pg/hub_ingest.hpp"
#include "pganalytics/pg/hub_keys.hpp"
#include "pganalytics/pg/hub_registry.hpp"
#include "pganalytics/pg/hub_retention.hpp"
#include "pganalytics/pg/hub_tables.hpp"
#include "pganalytics/pg/worker.hpp"

namespace pganalytics::pg {

class HubStages : public PushRules {
  public:
    // `poll` is an epoll descriptor that the worker waits for; `program` the path of ours.
    HubStages(int poll, const std::string& program);

    // All due work; the milliseconds until the next call at the latest.
    int step(const Wakeup& wakeup);

    // Within half a second: programs ended.
    void stop_now();

    size_t fields(uint16_t rowset) const override;
    TimeWindow window() const override;

  private:
    enum class Stage : uint8_t { kWaiting, kFiles, kTables, kServing };

    // --- stages (hub_stages.cpp)
    void recover();
    void look_for_extension();
    void ask_for_files();
    void take_files(const HubKeys::Answer& answer);
    void make_tables();
    bool tell_authority(FlatError& error);
    void leave(const FlatError& error);  // the extension is gone
    void read_settings();
    void publish(std::string_view problem, std::string_view hint);

    // --- serving (hub_serving.cpp)
    void serve();
    void take_frames();
    void forget_front();
    bool take_frame(const Frame& frame);
    bool take_listening(const Frame& frame);
    void store_pushes();
    void answer(const RegisterResult& result);
    void use_certificates();
    void refresh_collectors();
    void answer_own_collector();
    void tell_front();
    void maintain();
    void look_at_clock();
    void take_keys_answers();

    int64_t now_us_ = 0;
    bool more_to_do_ = false;
    bool in_step_ = false;  // when one begins: an exception ended the last
    Stage stage_ = Stage::kWaiting;
    int64_t due_us_ = 0;  // of the stage's next try
    int tries_ = 0;       // of the files, in a row

    HubIdentity identity_;
    std::string hostname_;
    HubNames names_;
    KeysInitResult files_;
    uint64_t files_question_ = 0;            // asked of keys and not answered
    int64_t files_due_us_ = 0;               // next look, while serving
    int64_t files_told_us_ = INT64_MIN / 2;  // when the front last said that they are others
    bool tell_due_ = true;                   // settings or tables changed
    bool listening_ = false;
    bool healthy_ = true;

    HubKeys keys_;
    HubFront front_;
    HubTables tables_;
    std::vector<ServeTarget> announced_;  // by rowset, as the front was told
    HubPushes pushes_;
    HubIngest ingest_;
    HubEnrolment enrolment_;
    HubRetention retention_;
    ClockSteps clock_steps_;
    bool clock_doubted_ = false;
    int64_t clock_began_ = 0;  // wall clock when the monotonic one was 0
    std::deque<CertificateUsed> used_;
    int64_t refresh_due_us_ = 0;
    int64_t maintenance_due_us_ = 0;
    int64_t retention_due_us_ = 0;
    bool views_due_ = true;
};

}  // namespace pganalytics::pg
