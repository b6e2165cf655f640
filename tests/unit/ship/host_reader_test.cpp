// Readings of the host beside the loop: they come back, fail, or hang without harm.
#include "pganalytics/ship/host_reader.hpp"

#include <gtest/gtest.h>
#include <poll.h>

#include <condition_variable>
#include <mutex>
#include <stdexcept>

#include "support/command.hpp"

namespace pganalytics::ship {
namespace {

using pganalytics::testing::eventually;

std::vector<RowsetShape> load_shape() {
    const RowsetShapes shapes(15);
    const Rowset* rowset = find_rowset("sysstat", "load");
    return {*shapes.find(rowset_number(*rowset))};
}

Status one_row(const Rowset&, RowBuilder& out) {
    const size_t columns = load_shape()[0].columns.size();
    out.begin();
    for (size_t i = 0; i < columns; ++i) out.null();
    out.end();
    return {};
}

bool readable(const HostReader& reader) {
    pollfd descriptor{reader.descriptor(), POLLIN, 0};
    return poll(&descriptor, 1, 0) == 1;
}

TEST(HostReader, ReadsBesideTheLoop) {
    HostReader reader;
    EXPECT_FALSE(readable(reader));
    for (int round = 0; round < 3; ++round) {
        ASSERT_TRUE(reader.start(load_shape(), one_row));
        EXPECT_FALSE(reader.start(load_shape(), one_row)) << "one at a time";
        ASSERT_TRUE(eventually([&] { return readable(reader); }));
        const std::optional<std::vector<HostRowset>> read = reader.take();
        ASSERT_TRUE(read);
        ASSERT_EQ(read->size(), 1U);
        EXPECT_EQ(read->front().count, 1U);
        EXPECT_FALSE(read->front().error);
        EXPECT_GT(read->front().time, 1'700'000'000'000'000);
        EXPECT_FALSE(readable(reader));
        EXPECT_FALSE(reader.take());
    }
}

TEST(HostReader, FailuresAreTheRowsets) {
    const auto fails = [](const Rowset&, RowBuilder&) {
        return Status(make_error("58030", "no such file"));
    };
    const auto throws = [](const Rowset&, RowBuilder&) -> Status {
        throw std::runtime_error("out of memory");
    };
    EXPECT_EQ(read_host_rowset(load_shape()[0], fails).error->message, "no such file");
    EXPECT_EQ(read_host_rowset(load_shape()[0], throws).error->message, "out of memory");
    EXPECT_FALSE(read_host_rowset(load_shape()[0], one_row).error);
}

TEST(HostReader, AHangingReadingIsLeftBehind) {
    struct Gate {
        std::mutex mutex;
        std::condition_variable opened;
        bool open = false;
    };
    const auto gate = std::make_shared<Gate>();
    const auto hang = [gate](const Rowset&, RowBuilder&) {
        std::unique_lock lock(gate->mutex);
        gate->opened.wait(lock, [&] { return gate->open; });
        return Status();
    };
    HostReader reader;
    ASSERT_TRUE(reader.start(load_shape(), hang));
    EXPECT_FALSE(reader.take());
    EXPECT_FALSE(reader.start(load_shape(), one_row));
    {
        const std::lock_guard lock(gate->mutex);
        gate->open = true;
    }
    gate->opened.notify_all();
    EXPECT_TRUE(eventually([&] { return reader.take().has_value(); }));
    EXPECT_TRUE(reader.start(load_shape(), one_row));
    EXPECT_TRUE(eventually([&] { return reader.take().has_value(); }));
    // One that never comes back does not keep the reader from going away.
    const auto never = std::make_shared<Gate>();
    auto leaving = std::make_unique<HostReader>();
    ASSERT_TRUE(leaving->start(load_shape(), [never](const Rowset&, RowBuilder&) {
        std::unique_lock lock(never->mutex);
        never->opened.wait(lock, [&] { return never->open; });
        return Status();
    }));
    leaving.reset();
    {
        const std::lock_guard lock(never->mutex);
        never->open = true;
    }
    never->opened.notify_all();
}

}  // namespace
}  // namespace pganalytics::ship
