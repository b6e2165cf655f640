// Memory that runs out on the way to the worker: what waits to be written goes on with the next
// frame from it, and who asked for a certificate in vain leaves no place taken.
#include <gtest/gtest.h>

#include <iostream>
#include <string>

#include "memory/failing_allocation.hpp"
#include "serve/played_worker.hpp"

namespace pganalytics::serve {
namespace {

using testing::FailingAllocation;
using testing::Uncounted;

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

// Asks for a certificate; the worker answers what reaches it. True: an allocation failed.
bool asks_in_vain(PlayedWorker& worker, uint64_t at) {
    const size_t reached = worker.registers().size();
    bool over = false;
    const FailingAllocation failing(at);
    try {
        asio::co_spawn(worker.io(), worker.link().enrol(Register{}),
                       [&](const std::exception_ptr&, const auto&) { over = true; });
    } catch (const std::bad_alloc&) {
        over = true;
    }
    const Clock::time_point deadline = Clock::now() + seconds(8);
    while (!over && !worker.over() && Clock::now() < deadline) {
        worker.turn();
        const Uncounted other_side;
        if (!over && worker.registers().size() == reached) worker.send(Heartbeat{});
        worker.read();
        if (worker.registers().size() > reached) worker.enrolled(worker.registers().back());
    }
    EXPECT_TRUE(over || worker.over()) << "allocation " << at;
    return failing.failed();
}

TEST(WorkerLinkOutOfMemory, AskingInVainTakesNoPlace) {
    uint64_t at = 0;
    size_t went_on = 0;
    for (bool failed = true; failed && at < 200; ++at) {
        PlayedWorker worker;
        asks_in_vain(worker, 0);  // what is allocated once only
        failed = false;
        for (size_t i = 0; i < kRegistersWaiting && !worker.over(); ++i) {
            failed |= asks_in_vain(worker, at + 1);
        }
        if (worker.over()) continue;
        ++went_on;
        const size_t reached = worker.registers().size();
        asks_in_vain(worker, 0);
        EXPECT_EQ(worker.registers().size(), reached + 1) << "allocation " << at + 1;
    }
    EXPECT_GT(at, 5U);
    EXPECT_LT(at, 200U);
    std::cout << at - 1 << " allocations, the front went on after " << went_on << std::endl;
}

}  // namespace
}  // namespace pganalytics::serve
