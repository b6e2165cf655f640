// RapidJSON with memory that is there: its own allocator hands on the null pointer of a malloc that
// failed, and the parser writes to it. Here that is a bad_alloc, as everywhere else. Runs in the
// program.
#pragma once

#include <rapidjson/document.h>
#include <rapidjson/reader.h>

#include <algorithm>
#include <cstring>
#include <new>

namespace pganalytics::net {

// RapidJSON's concept "Allocator".
class JsonMemory {
  public:
    static constexpr bool kNeedFree = true;
    static void* Malloc(size_t size) { return size == 0 ? nullptr : ::operator new(size); }
    // Of a failure the old memory hears nothing.
    static void* Realloc(void* pointer, size_t old_size, size_t size) {
        void* const more = Malloc(size);
        if (more != nullptr && pointer != nullptr)
            std::memcpy(more, pointer, std::min(old_size, size));
        Free(pointer);
        return more;
    }
    static void Free(void* pointer) { ::operator delete(pointer); }
};

using JsonReader = rapidjson::GenericReader<rapidjson::UTF8<>, rapidjson::UTF8<>, JsonMemory>;
using JsonDocument =
    rapidjson::GenericDocument<rapidjson::UTF8<>, rapidjson::MemoryPoolAllocator<JsonMemory>,
                               JsonMemory>;

}  // namespace pganalytics::net
