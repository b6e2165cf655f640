// Rows to bytes (see the header). Runs in visitors.
#include "pganalytics/pg/row_encoder.hpp"

#include "pganalytics/core/definition_digest.hpp"
#include "pganalytics/core/frame.hpp"
#include "pganalytics/core/statement_text.hpp"
#include "pganalytics/pg/compat.hpp"

namespace pganalytics::pg {

// How a column's datum is read.
enum class ColumnForm : uint8_t {
    kBool,
    kInt2,
    kInt4,
    kInt8,
    kUnsigned4,  // oid, xid: 32 bits without sign, into int64
    kOid,
    kFloat4,
    kFloat8,
    kTimestamp,
    kLsn,
    kUuid,
    kVarlena,  // text, varchar, json
    kName,
    kChar,
    kOutput,  // anything else, as text
};

namespace {

constexpr size_t kFirstBody = 4096;
constexpr int64_t kEpochMicroseconds =
    int64_t{POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE} * USECS_PER_DAY;

// --- memory

void need_body(RowEncoder* encoder, size_t more) {
    const size_t wanted = encoder->body_used + more;
    if (wanted <= encoder->body_capacity) return;
    size_t capacity = encoder->body_capacity;
    while (capacity < wanted) capacity *= 2;
    encoder->body = static_cast<char*>(repalloc_huge(encoder->body, capacity));
    encoder->body_capacity = capacity;
}

void put_bytes(RowEncoder* encoder, const void* bytes, size_t count) {
    need_body(encoder, count);
    std::memcpy(encoder->body + encoder->body_used, bytes, count);
    encoder->body_used += count;
}

void put_number(RowEncoder* encoder, uint64_t value) {
    need_body(encoder, kMaxVarintBytes);
    encoder->body_used +=
        put_varint(reinterpret_cast<uint8_t*>(encoder->body + encoder->body_used), value);
}

std::string_view without_constants(std::string_view sql) {
    return strip_constants(sql, static_cast<char*>(palloc(sql.size() + 1)));
}

void put_digest(RowEncoder* encoder, std::string_view definition) {
    char text[kDefinitionDigestBytes];
    write_definition_digest(encoder->digest_key, definition, text);
    put_number(encoder, sizeof text);
    put_bytes(encoder, text, sizeof text);
}

void put_text(RowEncoder* encoder, int column, std::string_view raw) {
    if (encoder->text_forms[column] == TextForm::kDigest) return put_digest(encoder, raw);
    std::string_view text = to_utf8(*encoder, raw);
    if (encoder->text_forms[column] == TextForm::kStatement) text = without_constants(text);
    put_number(encoder, text.size());
    put_bytes(encoder, text.data(), text.size());
}

RowChunk* add_chunk(RowEncoder* encoder, size_t least) {
    const size_t capacity = std::max(kRowsFrameBytes, least + kFrameHeaderBytes);
    auto* chunk = static_cast<RowChunk*>(
        MemoryContextAlloc(encoder->context, offsetof(RowChunk, bytes) + capacity));
    chunk->next = nullptr;
    chunk->used = kFrameHeaderBytes;
    chunk->capacity = capacity;
    encoder->bytes += capacity;
    if (encoder->last != nullptr) {
        encoder->last->next = chunk;
    } else {
        encoder->first = chunk;
    }
    encoder->last = chunk;
    return chunk;
}

void append_row(RowEncoder* encoder) {
    uint8_t length[kMaxVarintBytes];
    const size_t length_bytes = put_varint(length, encoder->body_used);
    const size_t total = length_bytes + encoder->body_used;
    RowChunk* chunk = encoder->last;
    if (chunk == nullptr || chunk->used + total > chunk->capacity) {
        chunk = add_chunk(encoder, total);
    }
    std::memcpy(chunk->bytes + chunk->used, length, length_bytes);
    std::memcpy(chunk->bytes + chunk->used + length_bytes, encoder->body, encoder->body_used);
    chunk->used += total;
    ++encoder->rows;
}

// --- forms

ColumnForm integer_form(Oid type) {
    switch (type) {
        case INT8OID:
        case XID8OID:
            return ColumnForm::kInt8;
        case INT4OID:
            return ColumnForm::kInt4;
        case INT2OID:
            return ColumnForm::kInt2;
        case OIDOID:
        case XIDOID:
            return ColumnForm::kUnsigned4;
        default:
            return ColumnForm::kOutput;
    }
}

ColumnForm text_form(Oid type) {
    switch (type) {
        case TEXTOID:
        case VARCHAROID:
        case BPCHAROID:
        case JSONOID:
            return ColumnForm::kVarlena;
        case NAMEOID:
            return ColumnForm::kName;
        case CHAROID:
            return ColumnForm::kChar;
        default:
            return ColumnForm::kOutput;
    }
}

// kOutput is an answer for text and json only.
ColumnForm form_of(ColumnType wanted, Oid type) {
    const auto only = [&](Oid one, ColumnForm form) {
        return type == one ? form : ColumnForm::kOutput;
    };
    switch (wanted) {
        case ColumnType::kBool:
            return only(BOOLOID, ColumnForm::kBool);
        case ColumnType::kInt64:
            return integer_form(type);
        case ColumnType::kFloat64:
            return type == FLOAT4OID ? ColumnForm::kFloat4 : only(FLOAT8OID, ColumnForm::kFloat8);
        case ColumnType::kTimestamp:
            return only(TIMESTAMPTZOID, ColumnForm::kTimestamp);
        case ColumnType::kOid:
            return only(OIDOID, ColumnForm::kOid);
        case ColumnType::kLsn:
            return only(kLsnType, ColumnForm::kLsn);
        case ColumnType::kUuid:
            return only(UUIDOID, ColumnForm::kUuid);
        case ColumnType::kText:
        case ColumnType::kJson:
            return text_form(type);
    }
    return ColumnForm::kOutput;
}

void start_rows(DestReceiver* self, int, TupleDesc description) {
    auto* encoder = reinterpret_cast<RowEncoder*>(self);
    if (description->natts != encoder->columns) {
        ereport(ERROR,
                (errcode(ERRCODE_INTERNAL_ERROR), errmsg("query has %d columns, the catalog %d",
                                                         description->natts, encoder->columns)));
    }
    for (int i = 0; i < encoder->columns; ++i) {
        const FormData_pg_attribute* attribute = TupleDescAttr(description, i);
        const ColumnType wanted = encoder->types[i];
        const ColumnForm form = form_of(wanted, attribute->atttypid);
        const bool is_text = wanted == ColumnType::kText || wanted == ColumnType::kJson;
        if (form == ColumnForm::kOutput && !is_text) {
            ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
                            errmsg("column \"%s\" has type %s", NameStr(attribute->attname),
                                   format_type_be(attribute->atttypid))));
        }
        encoder->forms[i] = form;
        if (form == ColumnForm::kOutput) {
            bool ignored = false;
            getTypeOutputInfo(attribute->atttypid, &encoder->output_functions[i], &ignored);
        }
    }
}

// --- values

// False where the value is none that can be told: infinity.
bool put_timestamp(RowEncoder* encoder, TimestampTz time) {
    int64_t unix_time = 0;
    if (TIMESTAMP_NOT_FINITE(time) ||
        __builtin_add_overflow(time, kEpochMicroseconds, &unix_time)) {
        return false;
    }
    put_number(encoder, zigzag(unix_time));
    return true;
}

void put_varlena(RowEncoder* encoder, int column, Datum datum) {
    const text* value = DatumGetTextPP(datum);
    put_text(encoder, column, {VARDATA_ANY(value), static_cast<size_t>(VARSIZE_ANY_EXHDR(value))});
}

// False: null.
bool put_value(RowEncoder* encoder, int column, Datum datum) {
    if (encoder->text_forms[column] == TextForm::kStatement && !encoder->statement_texts) {
        return false;
    }
    switch (encoder->forms[column]) {
        case ColumnForm::kBool: {
            const char byte = DatumGetBool(datum) ? 1 : 0;
            put_bytes(encoder, &byte, 1);
            return true;
        }
        case ColumnForm::kInt2:
            put_number(encoder, zigzag(DatumGetInt16(datum)));
            return true;
        case ColumnForm::kInt4:
            put_number(encoder, zigzag(DatumGetInt32(datum)));
            return true;
        case ColumnForm::kInt8:
            put_number(encoder, zigzag(DatumGetInt64(datum)));
            return true;
        case ColumnForm::kUnsigned4:
            put_number(encoder, zigzag(int64_t{DatumGetUInt32(datum)}));
            return true;
        case ColumnForm::kOid:
            put_number(encoder, DatumGetObjectId(datum));
            return true;
        case ColumnForm::kFloat4:
        case ColumnForm::kFloat8: {
            const double value = encoder->forms[column] == ColumnForm::kFloat4
                                     ? double{DatumGetFloat4(datum)}
                                     : DatumGetFloat8(datum);
            put_bytes(encoder, &value, sizeof value);
            return true;
        }
        case ColumnForm::kTimestamp:
            return put_timestamp(encoder, DatumGetTimestampTz(datum));
        case ColumnForm::kLsn:
            put_number(encoder, DatumGetLSN(datum));
            return true;
        case ColumnForm::kUuid:
            put_bytes(encoder, DatumGetUUIDP(datum)->data, UUID_LEN);
            return true;
        case ColumnForm::kVarlena:
            put_varlena(encoder, column, datum);
            return true;
        case ColumnForm::kName:
            put_text(encoder, column, NameStr(*DatumGetName(datum)));
            return true;
        case ColumnForm::kChar: {
            const char c = DatumGetChar(datum);
            put_text(encoder, column, {&c, c == '\0' ? size_t{0} : size_t{1}});
            return true;
        }
        case ColumnForm::kOutput:
            put_text(encoder, column,
                     OidOutputFunctionCall(encoder->output_functions[column], datum));
            return true;
    }
    return false;
}

void put_row(RowEncoder* encoder, TupleTableSlot* slot) {
    const size_t bitmap = null_bitmap_bytes(static_cast<size_t>(encoder->columns));
    encoder->body_used = 0;
    need_body(encoder, bitmap);
    std::memset(encoder->body, 0, bitmap);
    encoder->body_used = bitmap;
    slot_getallattrs(slot);
    for (int i = 0; i < encoder->columns; ++i) {
        if (slot->tts_isnull[i] || !put_value(encoder, i, slot->tts_values[i])) {
            auto& byte = reinterpret_cast<unsigned char&>(encoder->body[i / 8]);
            byte = static_cast<unsigned char>(byte | (1U << (i % 8)));
        }
    }
}

// A choice takes a look at every row there is, so it is made for many new ones at once.
void make_room(RowEncoder* encoder) {
    const uint64_t most = encoder->max_rows + std::max<uint64_t>(encoder->max_rows / 2, 64);
    if (encoder->rows >= most) choose_rows(encoder, encoder->max_rows);
    if (encoder->bytes >= encoder->max_bytes) choose_rows(encoder, encoder->rows / 2);
}

// False: no more rows.
bool has_room(RowEncoder* encoder) {
    if (encoder->summings != nullptr) {
        make_room(encoder);
        return true;
    }
    encoder->cut = encoder->rows >= encoder->max_rows;
    encoder->cut_by_bytes = !encoder->cut && encoder->bytes >= encoder->max_bytes;
    return !encoder->cut && !encoder->cut_by_bytes;
}

bool receive_row(TupleTableSlot* slot, DestReceiver* self) {
    auto* encoder = reinterpret_cast<RowEncoder*>(self);
    if (!has_room(encoder)) return false;
    MemoryContext const before = MemoryContextSwitchTo(encoder->row_context);
    put_row(encoder, slot);
    MemoryContextSwitchTo(before);
    MemoryContextReset(encoder->row_context);
    const bool lacks = encoder->required >= 0 && slot->tts_isnull[encoder->required];
    if (!lacks && encoder->body_used <= encoder->max_row_bytes) {
        append_row(encoder);
    } else if (encoder->summings == nullptr) {
        ++encoder->too_long;
    } else {
        add_to_sums(summing_of(*encoder), {encoder->body, encoder->body_used}, &encoder->left_out);
    }
    return true;
}

void nothing(DestReceiver*) {}

}  // namespace

RowEncoder* make_row_encoder(MemoryContext parent, bool statement_texts) {
    auto* encoder = static_cast<RowEncoder*>(MemoryContextAllocZero(parent, sizeof(RowEncoder)));
    encoder->statement_texts = statement_texts;
    encoder->digest_key = definition_key(GetMockAuthenticationNonce());
    encoder->receiver.receiveSlot = receive_row;
    encoder->receiver.rStartup = start_rows;
    encoder->receiver.rShutdown = nothing;
    encoder->receiver.rDestroy = nothing;
    encoder->receiver.mydest = DestNone;
    encoder->context = AllocSetContextCreate(parent, "pganalytics rows", ALLOCSET_DEFAULT_SIZES);
    encoder->row_context = AllocSetContextCreate(parent, "pganalytics row", ALLOCSET_DEFAULT_SIZES);
    encoder->body = static_cast<char*>(MemoryContextAlloc(parent, kFirstBody));
    encoder->body_capacity = kFirstBody;
    return encoder;
}

void begin_rows(RowEncoder* encoder, const RowShape& shape, uint64_t max_rows) {
    drop_rows(encoder);
    encoder->types = shape.types;
    encoder->text_forms = shape.text_forms;
    encoder->summings = shape.summings;
    encoder->columns = shape.columns;
    encoder->max_rows = max_rows;
    encoder->max_bytes = kMaxRowsBytes;
    encoder->max_row_bytes = kMaxRowBytes;
    encoder->required = -1;
    encoder->encoding = GetDatabaseEncoding();
    const bool needs_none = encoder->encoding == PG_UTF8 || encoder->encoding == PG_SQL_ASCII;
    encoder->to_utf8 =
        needs_none ? InvalidOid : FindDefaultConversionProc(encoder->encoding, PG_UTF8);
}

void keep_busiest(RowEncoder* encoder) {
    if (encoder->summings != nullptr && encoder->rows > encoder->max_rows)
        choose_rows(encoder, encoder->max_rows);
}

void end_rows(RowEncoder* encoder) {
    for (RowChunk* chunk = encoder->first; chunk != nullptr; chunk = chunk->next) {
        const auto length = static_cast<uint32_t>(chunk->used - sizeof(uint32_t));
        std::memcpy(chunk->bytes, &length, sizeof length);
        chunk->bytes[4] = static_cast<char>(FrameType::kRowsetRows);
        chunk->bytes[5] = static_cast<char>(kFrameVersion);
    }
}

void drop_rows(RowEncoder* encoder) {
    MemoryContextReset(encoder->context);
    encoder->first = encoder->last = nullptr;
    encoder->rows = encoder->too_long = encoder->bytes = 0;
    encoder->left_out = RowSums{};
    encoder->cut = encoder->cut_by_bytes = false;
}

}  // namespace pganalytics::pg
