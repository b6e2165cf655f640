// Each allocation of a JSON parser fails in turn: it ends with bad_alloc, and never reads or writes
// what is not there (the sanitizer looks on).
#include <gtest/gtest.h>

#include "memory/failing_allocation.hpp"
#include "pganalytics/net/json_memory.hpp"
#include "pganalytics/ship/json_object.hpp"

namespace pganalytics::net {
namespace {

using testing::FailingAllocation;

TEST(JsonMemoryTest, IsThereOrThrows) {
    auto* text = static_cast<char*>(JsonMemory::Malloc(4));
    std::memcpy(text, "1234", 4);
    {
        const FailingAllocation failing(1);
        EXPECT_THROW(JsonMemory::Malloc(1), std::bad_alloc);
    }
    {
        const FailingAllocation failing(1);
        EXPECT_THROW(JsonMemory::Realloc(text, 4, 8), std::bad_alloc);
    }
    EXPECT_EQ(std::string_view(text, 4), "1234");
    text = static_cast<char*>(JsonMemory::Realloc(text, 4, 1000));
    EXPECT_EQ(std::string_view(text, 4), "1234");
    EXPECT_EQ(JsonMemory::Realloc(text, 1000, 0), nullptr);
}

TEST(JsonMemoryTest, AParserEndsWithBadAlloc) {
    std::string json = "{\"members\": {";
    for (int i = 0; i < 2000; ++i) json += "\"member " + std::to_string(i) + "\": [1, 2, {}],";
    json += "\"last\": \"" + std::string(10000, 'x') + "\"}, \"name\": \"the name\"}";
    size_t refused = 0;
    bool failed = true;
    for (uint64_t at = 1; failed; ++at) {
        std::optional<ship::JsonObject> object;
        {
            const FailingAllocation failing(at);
            try {
                object = ship::JsonObject::parse(json);
            } catch (const std::bad_alloc&) {
                ++refused;
            }
            failed = failing.failed();
        }
        ASSERT_NE(object.has_value(), failed);
        if (object) {
            EXPECT_EQ(object->text("name"), "the name");
        }
    }
    // Its own, its document's, and chunks and a stack that grow.
    EXPECT_GT(refused, 10U);
}

}  // namespace
}  // namespace pganalytics::net
