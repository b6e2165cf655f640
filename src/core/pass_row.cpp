// Rows of a pass (see the header).
#include "pganalytics/core/pass_row.hpp"

#include <cstring>
#include <limits>

#include "pganalytics/core/row_format.hpp"

namespace pganalytics {

namespace {

// From 1970 to 2000.
constexpr int64_t kEpochUs = int64_t{946684800} * 1000000;

void append_number(std::string* out, uint64_t value) {
    uint8_t bytes[kMaxVarintBytes];
    out->append(reinterpret_cast<const char*>(bytes), put_varint(bytes, value));
}

void append_real(std::string* out, double value) {
    char bytes[sizeof value];
    std::memcpy(bytes, &value, sizeof value);
    out->append(bytes, sizeof bytes);
}

// False: null.
bool append_counter(CounterForm form, int64_t value, std::string* out) {
    switch (form) {
        case CounterForm::kInt64:
            append_number(out, zigzag(value));
            return true;
        case CounterForm::kTimestamp: {
            int64_t time = 0;
            const bool finite = value != std::numeric_limits<int64_t>::min() &&
                                value != std::numeric_limits<int64_t>::max();
            if (value == 0 || !finite || __builtin_add_overflow(value, kEpochUs, &time))
                return false;
            append_number(out, zigzag(time));
            return true;
        }
        case CounterForm::kFloat64:
            append_real(out, static_cast<double>(value));
            return true;
        case CounterForm::kMilliseconds:
            append_real(out, static_cast<double>(value) / 1000.0);
            return true;
    }
    return false;
}

// `out` begins with the bitmap.
void append_tail(const PassRowset& rowset, std::string_view counters, std::string* out) {
    size_t column = rowset.head.size();
    for (const CounterColumn& counter : rowset.tail) {
        int64_t value = 0;
        if (counter.offset + sizeof value <= counters.size())
            std::memcpy(&value, counters.data() + counter.offset, sizeof value);
        if (!append_counter(counter.form, value, out)) {
            auto& byte = reinterpret_cast<unsigned char&>((*out)[column / 8]);
            byte = static_cast<unsigned char>(byte | (1U << (column % 8)));
        }
        ++column;
    }
}

bool has_null_in_head(const PassRowset& rowset, std::string_view bitmap) {
    for (size_t i = 0; i < rowset.head.size(); ++i)
        if ((static_cast<unsigned char>(bitmap[i / 8]) >> (i % 8)) & 1U) return true;
    return false;
}

}  // namespace

bool split_row(const PassRowset& rowset, const FoldKey& key, std::string_view body, SplitRow* out) {
    const size_t bitmap_bytes = null_bitmap_bytes(rowset.columns());
    ByteReader reader(body);
    const std::string_view bitmap = reader.raw(bitmap_bytes);
    if (!reader.ok() || has_null_in_head(rowset, bitmap)) return false;
    for (size_t i = 0; i < rowset.head.size(); ++i) {
        switch (rowset.head[i]) {
            case ColumnType::kOid: {
                const uint64_t oid = reader.varint();
                if (oid > UINT32_MAX) return false;
                if (i == 1) out->oid = static_cast<uint32_t>(oid);
                break;
            }
            case ColumnType::kText:
                reader.text();
                break;
            default:
                return false;
        }
    }
    if (!reader.ok()) return false;
    const size_t head_bytes = body.size() - bitmap_bytes - reader.remaining();
    out->head = body.substr(bitmap_bytes, head_bytes);
    std::string tail(bitmap);
    tail.append(body.substr(bitmap_bytes + head_bytes));
    out->tail = fold_hash(key, tail);
    return true;
}

uint64_t tail_hash(const PassRowset& rowset, const FoldKey& key, std::string_view counters) {
    std::string tail(null_bitmap_bytes(rowset.columns()), '\0');
    append_tail(rowset, counters, &tail);
    return fold_hash(key, tail);
}

void make_row(const PassRowset& rowset, std::string_view head, std::string_view counters,
              std::string* out) {
    out->assign(null_bitmap_bytes(rowset.columns()), '\0');
    out->append(head);
    append_tail(rowset, counters, out);
}

}  // namespace pganalytics
