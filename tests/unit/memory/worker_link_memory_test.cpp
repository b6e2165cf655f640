// Memory that runs out while the front sees to it that frames are written: what waits goes on with
// the next frame from the worker.
#include <gtest/gtest.h>

#include <iostream>
#include <string>

#include "memory/failing_allocation.hpp"
#include "serve/played_worker.hpp"

namespace pganalytics::serve {
namespace {

using testing::FailingAllocation;

constexpr int kBuffer = 4096;
constexpr size_t kMoreThanTheSocketTakes = size_t{1} << 18;

// False: there were fewer allocations.
bool fails_at(uint64_t at) {
    PlayedWorker worker(kBuffer);
    bool failed = false;
    try {
        const FailingAllocation failing(at);
        worker.link().log(LogLevel::kInfo, "test", std::string(kMoreThanTheSocketTakes, 'x'));
        worker.turn();
        failed = failing.failed();
    } catch (const std::bad_alloc&) {
        failed = true;
    }
    if (worker.over()) return failed;
    // Behind all that waits; the worker says something once, as it does each few seconds.
    asio::co_spawn(worker.io(), worker.link().enrol(Register{}), asio::detached);
    worker.turn();
    worker.send(Heartbeat{});
    EXPECT_TRUE(worker.until([&] { return !worker.registers().empty(); }, seconds(20)))
        << "allocation " << at;
    return failed;
}

TEST(WorkerLinkOutOfMemory, WhatWaitsIsWritten) {
    uint64_t at = 1;
    while (at < 200 && fails_at(at)) ++at;
    EXPECT_GT(at, 5U);
    EXPECT_LT(at, 200U);
    std::cout << at - 1 << " allocations" << std::endl;
}

}  // namespace
}  // namespace pganalytics::serve
