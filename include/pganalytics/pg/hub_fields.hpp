// The fields of a binary COPY row as values of the hub's column types, without the types' receive
// functions where a value is bytes in another order. Same values and same refusals as those (a
// field of the wrong length, a time out of range, text that is none). Runs in the hub worker,
// inside a transaction.
#pragma once

#include "pganalytics/pg/postgres.hpp"

namespace pganalytics::pg {

// How fields of one column are read. Plain data; lives where read_field() may be called.
struct FieldReader {
    Datum (*read)(FieldReader& reader, const char* bytes, int32 size) = nullptr;
    FmgrInfo receive;  // of a type that is more than its bytes
    Oid parameter = InvalidOid;
};

// False: not a type of the hub's columns, `reader` is not to be used.
bool find_reader(Oid type, int32 modifier, FieldReader& reader);

// The value of `size` bytes, in the current memory context; raises ERROR where they are none.
inline Datum read_field(FieldReader& reader, const char* bytes, int32 size) {
    return reader.read(reader, bytes, size);
}

}  // namespace pganalytics::pg
