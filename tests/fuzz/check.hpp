// What a fuzz target says when a property does not hold: abort, so that libFuzzer keeps the input.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <string_view>

#define FUZZ_CHECK(condition)           \
    do {                                \
        if (!(condition)) std::abort(); \
    } while (false)

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

inline std::string_view fuzz_text(const uint8_t* data, size_t size) {
    return {reinterpret_cast<const char*>(data), size};
}
