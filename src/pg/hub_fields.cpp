// Fields as values (see the header). Runs in the hub worker.
#include "pganalytics/pg/hub_fields.hpp"

#include "pganalytics/pg/compat.hpp"

extern "C" {
#include "datatype/timestamp.h"
#include "port/pg_bswap.h"
}

namespace pganalytics::pg {

namespace {

void require_size(int32 size, int32 expected) {
    if (size != expected)
        ereport(ERROR, (errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
                        errmsg("incorrect binary data format"),
                        errdetail("A field has %d bytes instead of %d.", size, expected)));
}

Datum read_boolean(FieldReader&, const char* bytes, int32 size) {
    require_size(size, 1);
    return BoolGetDatum(*bytes != 0);
}

Datum read_four(FieldReader&, const char* bytes, int32 size) {
    require_size(size, 4);
    uint32 value = 0;
    memcpy(&value, bytes, sizeof value);
    return ObjectIdGetDatum(pg_ntoh32(value));
}

int64 eight(const char* bytes, int32 size) {
    require_size(size, 8);
    uint64 value = 0;
    memcpy(&value, bytes, sizeof value);
    return static_cast<int64>(pg_ntoh64(value));
}

// bigint, double precision and pg_lsn: the same eight bytes.
Datum read_eight(FieldReader&, const char* bytes, int32 size) {
    return Int64GetDatum(eight(bytes, size));
}

Datum read_time(FieldReader&, const char* bytes, int32 size) {
    const TimestampTz time = eight(bytes, size);
    if (!TIMESTAMP_NOT_FINITE(time) && !IS_VALID_TIMESTAMP(time))
        ereport(ERROR,
                (errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE), errmsg("timestamp out of range")));
    return TimestampTzGetDatum(time);
}

Datum read_uuid(FieldReader&, const char* bytes, int32 size) {
    require_size(size, UUID_LEN);
    auto* uuid = static_cast<pg_uuid_t*>(palloc(sizeof(pg_uuid_t)));
    memcpy(uuid->data, bytes, UUID_LEN);
    return UUIDPGetDatum(uuid);
}

Datum read_text(FieldReader&, const char* bytes, int32 size) {
    // The hub's database has no other encoding.
    pg_verify_mbstr(PG_UTF8, bytes, size, false);
    const auto length = static_cast<size_t>(size);
    // With the short header that the row would give it anyway.
    if (length + VARHDRSZ_SHORT <= VARATT_SHORT_MAX) {
        auto* value = static_cast<char*>(palloc(length + VARHDRSZ_SHORT));
        SET_VARSIZE_SHORT(value, length + VARHDRSZ_SHORT);
        memcpy(value + VARHDRSZ_SHORT, bytes, length);
        return PointerGetDatum(value);
    }
    return PointerGetDatum(cstring_to_text_with_len(bytes, size));
}

// jsonb's function takes every byte there is.
Datum read_received(FieldReader& reader, const char* bytes, int32 size) {
    StringInfoData field;
    initStringInfo(&field);
    appendBinaryStringInfo(&field, bytes, size);
    const Datum value = ReceiveFunctionCall(&reader.receive, &field, reader.parameter, -1);
    pfree(field.data);
    return value;
}

}  // namespace

bool find_reader(Oid type, int32 modifier, FieldReader& reader) {
    if (modifier != -1) return false;
    switch (type) {
        case BOOLOID:
            reader.read = read_boolean;
            return true;
        case OIDOID:
            reader.read = read_four;
            return true;
        case INT8OID:
        case FLOAT8OID:
        case kLsnType:
            reader.read = read_eight;
            return true;
        case TIMESTAMPTZOID:
            reader.read = read_time;
            return true;
        case UUIDOID:
            reader.read = read_uuid;
            return true;
        case TEXTOID:
            reader.read = read_text;
            return true;
        case JSONBOID: {
            Oid function = InvalidOid;
            getTypeBinaryInputInfo(type, &function, &reader.parameter);
            fmgr_info(function, &reader.receive);
            reader.read = read_received;
            return true;
        }
        default:
            return false;
    }
}

}  // namespace pganalytics::pg
