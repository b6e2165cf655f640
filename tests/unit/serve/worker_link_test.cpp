// What may be on its way to the hub worker at once: pushes in memory, bytes of theirs that it has
// not answered, certificates asked for. At each limit and one past it, with a worker played by the
// test.
#include "pganalytics/serve/worker_link.hpp"

#include <gtest/gtest.h>

#include "serve/played_worker.hpp"
#include "serve/push_fixture.hpp"

namespace pganalytics::serve {
namespace {

// A wait as it is, and a second of the machine's own.
constexpr milliseconds kWaitAtMost = kPushSlotWait + seconds(20);

class WorkerLinkTest : public ::testing::Test {
  protected:
    // Answers that have come, by who asked.
    template <class Answer>
    struct Asked {
        bool over = false;
        std::optional<Answer> answer;
    };
    template <class Answer>
    void ask(Task<std::optional<Answer>> task, Asked<Answer>& asked) {
        asio::co_spawn(worker_.io(), std::move(task),
                       [&asked](const std::exception_ptr& failure, std::optional<Answer> answer) {
                           EXPECT_FALSE(failure);
                           asked.over = true;
                           if (answer) asked.answer.emplace(*std::move(answer));
                       });
        worker_.turn();
    }

    // Of `bytes` at least, and less than twice that and a row.
    PushFrames push(size_t bytes) {
        std::string relid = "1";
        while (true) {
            PushFrames frames(push_of(tables("\"relid\":[" + relid + "]"), *targets_), targets_,
                              Uuid{1}, 7, row_window(kNow, 30 * 86'400));
            if (frames.bytes_at_most() >= bytes) return frames;
            relid += "," + relid;
        }
    }
    PushBegin begin_of(uint8_t collector, uint64_t number) {
        PushBegin begin;
        begin.number = number;
        begin.collector_id = Uuid{collector};
        EXPECT_TRUE(worker_.link().begin_ingest(begin.collector_id));
        return begin;
    }

    PlayedWorker worker_;
    std::shared_ptr<const PushTargets> targets_ = catalog_targets();
};

TEST_F(WorkerLinkTest, PushesInMemory) {
    std::array<Asked<WorkerLink::Slot>, kPushesInMemory + 2> asked;
    for (size_t i = 0; i < kPushesInMemory; ++i) {
        ask(worker_.link().take_slot(), asked[i]);
        EXPECT_TRUE(asked[i].answer);
    }
    // One more waits for a place, and has the next that comes free.
    Asked<WorkerLink::Slot>& waits = asked[kPushesInMemory];
    ask(worker_.link().take_slot(), waits);
    EXPECT_FALSE(waits.over);
    asked[0].answer.reset();
    worker_.turn();
    EXPECT_TRUE(waits.answer);
    // And where none does, it is told so in time.
    Asked<WorkerLink::Slot>& late = asked[kPushesInMemory + 1];
    const Clock::time_point begin = Clock::now();
    ask(worker_.link().take_slot(), late);
    ASSERT_TRUE(worker_.until([&] { return late.over; }, kWaitAtMost));
    EXPECT_FALSE(late.answer);
    EXPECT_GE(Clock::now() - begin, kPushSlotWait);
}

TEST_F(WorkerLinkTest, BytesWithTheWorker) {
    std::array<Asked<PushResult>, 4> asked;
    const auto store = [&](uint8_t collector, size_t bytes) {
        PushFrames frames = push(bytes);
        const PushBegin begin = begin_of(collector, collector);
        ask(worker_.link().store(begin, std::move(frames), WorkerLink::Slot(worker_.link())),
            asked[collector]);
    };
    // A push alone may be larger than the window; beside it there is room for none.
    store(0, kWorkerWindow + 1);
    ASSERT_TRUE(worker_.until([&] { return worker_.pushes().size() == 1; }));
    store(1, 1);
    worker_.turn();
    worker_.read();
    EXPECT_EQ(worker_.pushes_begun(), 1U);
    worker_.stored(0);
    ASSERT_TRUE(worker_.until([&] { return worker_.pushes().size() == 2; }));
    EXPECT_TRUE(asked[0].answer);
    // Both within the window.
    store(2, 1);
    ASSERT_TRUE(worker_.until([&] { return worker_.pushes().size() == 3; }));
    // One past it: told so in time, its collector's place free again, nothing of it with the
    // worker.
    const Clock::time_point begin = Clock::now();
    store(3, kWorkerWindow);
    ASSERT_TRUE(worker_.until([&] { return asked[3].over; }, kWaitAtMost));
    EXPECT_GE(Clock::now() - begin, kPushSlotWait);
    EXPECT_FALSE(asked[3].answer);
    EXPECT_TRUE(worker_.link().begin_ingest(Uuid{3}));
    EXPECT_EQ(worker_.pushes_begun(), 3U);
    for (const uint64_t number : {1, 2}) worker_.stored(number);
    EXPECT_TRUE(worker_.until([&] { return asked[1].over && asked[2].over; }));
}

TEST_F(WorkerLinkTest, CertificatesAskedFor) {
    std::array<Asked<RegisterResult>, kRegistersWaiting + 2> asked;
    const auto enrol = [&](size_t i) { ask(worker_.link().enrol(Register{}), asked[i]); };
    for (size_t i = 0; i < kRegistersWaiting; ++i) enrol(i);
    worker_.read();
    EXPECT_EQ(worker_.registers().size(), kRegistersWaiting);
    // One more is not even asked.
    enrol(kRegistersWaiting);
    EXPECT_TRUE(asked[kRegistersWaiting].over);
    EXPECT_FALSE(asked[kRegistersWaiting].answer);
    worker_.read();
    EXPECT_EQ(worker_.registers().size(), kRegistersWaiting);
    // An answer makes room.
    const auto answer = [&](uint64_t number) {
        RegisterResult result;
        result.number = number;
        worker_.send(result);
    };
    answer(worker_.registers().front());
    EXPECT_TRUE(worker_.until([&] { return asked[0].over; }));
    EXPECT_TRUE(asked[0].answer);
    enrol(kRegistersWaiting + 1);
    worker_.read();
    ASSERT_EQ(worker_.registers().size(), kRegistersWaiting + 1);
    for (size_t i = 1; i <= kRegistersWaiting; ++i) answer(worker_.registers()[i]);
    EXPECT_TRUE(worker_.until([&] {
        return std::all_of(asked.begin(), asked.end(), [](const auto& one) { return one.over; });
    }));
}

}  // namespace
}  // namespace pganalytics::serve
