// Rows on their way from a visitor, of any list of column types.
#include <bit>
#include <vector>

#include "check.hpp"
#include "pganalytics/core/row_format.hpp"

namespace pganalytics {

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size < 2) return 0;
    const size_t columns = 1 + data[0] % 24;
    if (size < 1 + columns) return 0;
    std::vector<ColumnType> types;
    for (size_t i = 0; i < columns; ++i) {
        types.push_back(static_cast<ColumnType>(1 + data[1 + i] % 9));
    }
    RowReader reader(fuzz_text(data + 1 + columns, size - 1 - columns));
    std::vector<Value> values(columns);
    std::string_view body;
    while (reader.next(body)) {
        const std::string_view key = key_bytes(body, types, 1);
        std::vector<Value> leading(1);
        const bool has_leading = decode_leading(body, columns, std::span(types).first(1), leading);
        if (!decode_row(body, types, values)) continue;
        FUZZ_CHECK(has_leading);
        FUZZ_CHECK(key.size() <= body.size());
        // Built again from its values, the row decodes to the same values.
        RowBuilder builder(types);
        builder.begin();
        for (const Value& value : values) builder.value(value);
        builder.end();
        const std::string built = builder.take();
        RowReader second(built);
        std::string_view body_again;
        FUZZ_CHECK(second.next(body_again));
        std::vector<Value> again(columns);
        FUZZ_CHECK(decode_row(body_again, types, again));
        for (size_t i = 0; i < columns; ++i) {
            FUZZ_CHECK(values[i].null == again[i].null);
            if (values[i].null) continue;
            FUZZ_CHECK(values[i].integer == again[i].integer);
            FUZZ_CHECK(std::bit_cast<uint64_t>(values[i].real) ==
                       std::bit_cast<uint64_t>(again[i].real));
            FUZZ_CHECK(values[i].text == again[i].text);
        }
    }
    return 0;
}

}  // namespace pganalytics
