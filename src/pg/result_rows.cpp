// Rows of SQL functions (see the header). Runs in sessions.
#include "pganalytics/pg/result_rows.hpp"

#include "pganalytics/core/row_format.hpp"
#include "pganalytics/pg/compat.hpp"

namespace pganalytics::pg {

namespace {

constexpr int kMaxResultColumns = 32;
constexpr int64_t kUnixOfPostgres =
    int64_t{POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE} * USECS_PER_DAY;

bool is_ascii(std::string_view text) {
    return std::all_of(text.begin(), text.end(),
                       [](char c) { return static_cast<signed char>(c) > 0; });
}

Datum text_datum(std::string_view text) {
    return PointerGetDatum(cstring_to_text_with_len(text.data(), static_cast<int>(text.size())));
}

Datum interval_datum(int64_t microseconds) {
    auto* interval = static_cast<Interval*>(palloc0(sizeof(Interval)));
    interval->time = microseconds;
    return PointerGetDatum(interval);
}

Datum to_datum(const Value& value, ColumnType type, Oid declared) {
    switch (type) {
        case ColumnType::kBool:
            return BoolGetDatum(value.integer != 0);
        case ColumnType::kInt64:
            return declared == INTERVALOID ? interval_datum(value.integer)
                                           : Int64GetDatum(value.integer);
        case ColumnType::kFloat64:
            return Float8GetDatum(value.real);
        case ColumnType::kTimestamp:
            return TimestampTzGetDatum(value.integer - kUnixOfPostgres);
        case ColumnType::kOid:
            return ObjectIdGetDatum(static_cast<Oid>(value.integer));
        case ColumnType::kLsn:
            return LSNGetDatum(static_cast<XLogRecPtr>(value.integer));
        case ColumnType::kUuid: {
            auto* uuid = static_cast<pg_uuid_t*>(palloc(sizeof(pg_uuid_t)));
            std::memcpy(uuid->data, value.text.data(), UUID_LEN);
            return UUIDPGetDatum(uuid);
        }
        case ColumnType::kText:
        case ColumnType::kJson:
            return text_datum(from_utf8(value.text));
    }
    return Datum{0};
}

// The character at the front of valid UTF-8; its length in *length.
uint32_t code_point(std::string_view text, size_t* length) {
    const auto byte = [&](size_t i) {
        return static_cast<uint32_t>(static_cast<uint8_t>(text[i]));
    };
    const uint32_t first = byte(0);
    *length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc0 ? 2 : 1;
    if (*length > text.size()) *length = 1;
    switch (*length) {
        case 2:
            return (first & 0x1f) << 6 | (byte(1) & 0x3f);
        case 3:
            return (first & 0x0f) << 12 | (byte(1) & 0x3f) << 6 | (byte(2) & 0x3f);
        case 4:
            return (first & 0x07) << 18 | (byte(1) & 0x3f) << 12 | (byte(2) & 0x3f) << 6 |
                   (byte(3) & 0x3f);
        default:
            return first;
    }
}

void append_escaped(StringInfo out, uint32_t code) {
    if (code >= 0x10000) {
        const uint32_t rest = code - 0x10000;
        appendStringInfo(out, "\\u%04x\\u%04x", 0xd800 + (rest >> 10), 0xdc00 + (rest & 0x3ff));
    } else {
        appendStringInfo(out, "\\u%04x", code);
    }
}

}  // namespace

ResultRows begin_result(FunctionCallInfo call) {
    auto* info = reinterpret_cast<ReturnSetInfo*>(call->resultinfo);
    if (info == nullptr || !IsA(info, ReturnSetInfo) ||
        (info->allowedModes & SFRM_Materialize) == 0) {
        ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                        errmsg("function returns a set, which is not asked for here")));
    }
    ResultRows result = {};
    MemoryContext const before = MemoryContextSwitchTo(info->econtext->ecxt_per_query_memory);
    if (get_call_result_type(call, nullptr, &result.description) != TYPEFUNC_COMPOSITE) {
        ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
                        errmsg("function is not declared to return a table")));
    }
    result.store =
        tuplestore_begin_heap((info->allowedModes & SFRM_Materialize_Random) != 0, false, work_mem);
    info->returnMode = SFRM_Materialize;
    info->setResult = result.store;
    info->setDesc = result.description;
    MemoryContextSwitchTo(before);
    return result;
}

void put_text_row(ResultRows* result, std::span<const char* const> values) {
    Datum datums[kMaxResultColumns] = {};
    bool nulls[kMaxResultColumns] = {};
    for (size_t i = 0; i < values.size(); ++i) {
        nulls[i] = values[i] == nullptr;
        if (!nulls[i]) datums[i] = text_datum(values[i]);
    }
    tuplestore_putvalues(result->store, result->description, datums, nulls);
}

void put_encoded_rows(ResultRows* result, std::string_view rows,
                      std::span<const ColumnType> types) {
    Value values[kMaxResultColumns];
    Datum datums[kMaxResultColumns] = {};
    bool nulls[kMaxResultColumns] = {};
    const bool fits = static_cast<size_t>(result->description->natts) == types.size() &&
                      types.size() <= kMaxResultColumns;
    RowReader reader(rows);
    std::string_view body;
    while (fits && reader.next(body)) {
        if (!decode_row(body, types, values)) break;
        for (size_t i = 0; i < types.size(); ++i) {
            const Oid declared = TupleDescAttr(result->description, static_cast<int>(i))->atttypid;
            nulls[i] = values[i].null;
            datums[i] = nulls[i] ? Datum{0} : to_datum(values[i], types[i], declared);
        }
        tuplestore_putvalues(result->store, result->description, datums, nulls);
        body = {};
    }
    if (!fits || !body.empty() || !reader.ok()) {
        ereport(ERROR, (errcode(ERRCODE_PROTOCOL_VIOLATION),
                        errmsg("malformed rows in an answer of program \"pganalytics\"")));
    }
}

std::string_view from_utf8(std::string_view text) {
    const int encoding = GetDatabaseEncoding();
    if (encoding == PG_UTF8 || encoding == PG_SQL_ASCII || is_ascii(text)) return text;
    const Oid conversion = FindDefaultConversionProc(PG_UTF8, encoding);
    const size_t size = text.size() * MAX_CONVERSION_GROWTH + 1;
    char* out = static_cast<char*>(palloc(size));
    size_t used = 0;
    while (!text.empty()) {
        out[used] = '\0';
        size_t taken = 0;
        if (OidIsValid(conversion)) {
            taken = convert_prefix(conversion, PG_UTF8, encoding, text, out + used, size - used);
        }
        used += std::strlen(out + used);
        text.remove_prefix(taken);
        if (text.empty()) break;
        size_t length = 0;
        static_cast<void>(code_point(text, &length));
        out[used++] = '?';
        text.remove_prefix(length);
    }
    return {out, used};
}

text* json_from_utf8(std::string_view json) {
    if (GetDatabaseEncoding() == PG_UTF8 || is_ascii(json)) {
        return cstring_to_text_with_len(json.data(), static_cast<int>(json.size()));
    }
    StringInfoData out;
    initStringInfo(&out);
    while (!json.empty()) {
        size_t length = 0;
        const uint32_t code = code_point(json, &length);
        if (code < 0x80) {
            appendStringInfoChar(&out, static_cast<char>(code));
        } else {
            append_escaped(&out, code);
        }
        json.remove_prefix(length);
    }
    return cstring_to_text_with_len(out.data, out.len);
}

}  // namespace pganalytics::pg
