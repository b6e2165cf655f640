// Values of a relation (see the header). Runs in visitors.
#include "pganalytics/pg/relation_fields.hpp"

#include <type_traits>

#include "pganalytics/core/relation_expressions.hpp"

extern "C" {
#include "utils/fmgrprotos.h"
}

namespace pganalytics::pg {

namespace {

using Read = decltype(RelationField::read);

// --- columns of pg_class and pg_index

Datum datum_of(bool value) { return BoolGetDatum(value); }
Datum datum_of(char value) { return CharGetDatum(value); }
Datum datum_of(Oid value) { return ObjectIdGetDatum(value); }
Datum datum_of(const NameData& value) { return NameGetDatum(&value); }

template <auto kMember>
bool read_class(const RelationField&, const RelationRow& row, Datum* value) {
    *value = datum_of(row.relation->*kMember);
    return true;
}

template <auto kMember>
bool read_class_not_0(const RelationField&, const RelationRow& row, Datum* value) {
    *value = datum_of(row.relation->*kMember);
    return *value != 0;
}

bool read_table(const RelationField&, const RelationRow& row, Datum* value) {
    if (row.index == nullptr) return false;
    *value = ObjectIdGetDatum(row.index->target);
    return true;
}

// Members of CatalogLink are bits, which no pointer to a member can name.
template <class Flag>
bool read_flag(const RelationRow& row, Datum* value, Flag&& flag) {
    if (row.index == nullptr) return false;
    *value = BoolGetDatum(flag(*row.index));
    return true;
}

#define PGANALYTICS_INDEX_FLAG(member)                                                     \
    [](const RelationField&, const RelationRow& row, Datum* value) {                       \
        return read_flag(row, value, [](const CatalogLink& link) { return link.member; }); \
    }

// --- what is joined or reckoned

bool read_database(const RelationField&, const RelationRow&, Datum* value) {
    *value = ObjectIdGetDatum(MyDatabaseId);
    return true;
}

bool read_schema(const RelationField&, const RelationRow& row, Datum* value) {
    *value = NameGetDatum(row.schema);
    return true;
}

bool read_method(const RelationField&, const RelationRow& row, Datum* value) {
    if (row.method == nullptr) return false;
    *value = NameGetDatum(row.method);
    return true;
}

bool read_parent(const RelationField&, const RelationRow& row, Datum* value) {
    if (row.parent == nullptr) return false;
    *value = ObjectIdGetDatum(row.parent->target);
    return true;
}

// 0 in pg_class: it has no file, or the relation map has its name.
bool read_filenode(const RelationField&, const RelationRow& row, Datum* value) {
    *value = ObjectIdGetDatum(row.relation->relfilenode);
    if (OidIsValid(row.relation->relfilenode)) return true;
    if (!RELKIND_HAS_STORAGE(row.relation->relkind)) return false;
    LOCAL_FCINFO(call, 1);
    InitFunctionCallInfoData(*call, nullptr, 1, InvalidOid, nullptr, nullptr);
    call->args[0].value = ObjectIdGetDatum(row.relation->oid);
    call->args[0].isnull = false;
    *value = pg_relation_filenode(call);
    return !call->isnull;
}

// Block numbers have 32 bits, the catalog's columns are signed.
Datum pages(int32 count) { return Int64GetDatum(static_cast<int64>(static_cast<uint32>(count))); }

bool read_pages(const RelationField&, const RelationRow& row, Datum* value) {
    *value = pages(row.relation->relpages);
    return row.relation->relkind != RELKIND_PARTITIONED_TABLE &&
           row.relation->relkind != RELKIND_PARTITIONED_INDEX;
}

bool read_tuples(const RelationField&, const RelationRow& row, Datum* value) {
    *value = Float8GetDatum(static_cast<double>(row.relation->reltuples));
    return row.relation->reltuples >= 0;
}

bool has_visibility_map(const FormData_pg_class& relation) {
    return relation.relkind == RELKIND_RELATION || relation.relkind == RELKIND_TOASTVALUE ||
           relation.relkind == RELKIND_MATVIEW;
}

bool read_all_visible(const RelationField&, const RelationRow& row, Datum* value) {
    *value = pages(row.relation->relallvisible);
    return has_visibility_map(*row.relation);
}

// From 18 on.
template <class Form>
int32 all_frozen(const Form& relation) {
    if constexpr (requires { relation.relallfrozen; }) return relation.relallfrozen;
    return 0;
}

bool read_all_frozen(const RelationField&, const RelationRow& row, Datum* value) {
    *value = pages(all_frozen(*row.relation));
    return has_visibility_map(*row.relation);
}

bool read_options(const RelationField&, const RelationRow& row, Datum* value) {
    bool is_null = false;
    *value = heap_getattr(row.tuple, Anum_pg_class_reloptions, row.description, &is_null);
    return !is_null;
}

// --- counters

bool read_counter(const RelationField& field, const RelationRow& row, Datum* value) {
    int64_t number = 0;
    std::memcpy(&number, reinterpret_cast<const char*>(&row.counters) + field.offset,
                sizeof number);
    *value = field.type == FLOAT8OID ? Float8GetDatum(static_cast<double>(number))
                                     : Int64GetDatum(number);
    return field.type != TIMESTAMPTZOID || number != 0;
}

Oid type_of(const RelationCounter& counter) {
    switch (counter.type) {
        case ColumnType::kTimestamp:
            return TIMESTAMPTZOID;
        case ColumnType::kFloat64:
            return FLOAT8OID;
        default:
            return INT8OID;
    }
}

// --- which is which

using Class = FormData_pg_class;

struct KnownField {
    std::string_view sql;
    Oid type;
    Read read;
    unsigned needs = 0;
};

constexpr KnownField kKnownFields[] = {
    {kThisDatabase, OIDOID, read_database},
    {"c.oid", OIDOID, read_class<&Class::oid>},
    {"n.nspname::pg_catalog.text", NAMEOID, read_schema},
    {"c.relname::pg_catalog.text", NAMEOID, read_class<&Class::relname>},
    {"c.relkind::pg_catalog.text", CHAROID, read_class<&Class::relkind>},
    {"c.relpersistence::pg_catalog.text", CHAROID, read_class<&Class::relpersistence>},
    {"c.relisshared", BOOLOID, read_class<&Class::relisshared>},
    {"c.relowner", OIDOID, read_class<&Class::relowner>},
    {"a.amname::pg_catalog.text", NAMEOID, read_method, kNeedsMethod},
    {"c.reltablespace", OIDOID, read_class<&Class::reltablespace>},
    {kRelationFilenode, OIDOID, read_filenode},
    {kRelationPages, INT8OID, read_pages},
    {kRelationTuples, FLOAT8OID, read_tuples},
    {kRelationAllVisible, INT8OID, read_all_visible},
    {kRelationAllFrozen, INT8OID, read_all_frozen},
    {kRelationFrozenXid, XIDOID, read_class_not_0<&Class::relfrozenxid>},
    {kRelationMinMultixact, XIDOID, read_class_not_0<&Class::relminmxid>},
    {kRelationToast, OIDOID, read_class_not_0<&Class::reltoastrelid>},
    {"c.relispartition", BOOLOID, read_class<&Class::relispartition>},
    {"h.inhparent", OIDOID, read_parent, kNeedsParent},
    {"c.relispopulated", BOOLOID, read_class<&Class::relispopulated>},
    {"c.reloptions::pg_catalog.text", TEXTARRAYOID, read_options, kNeedsTuple},
    {"x.indrelid", OIDOID, read_table, kNeedsIndex},
    {"x.indisunique", BOOLOID, PGANALYTICS_INDEX_FLAG(is_unique), kNeedsIndex},
    {"x.indisprimary", BOOLOID, PGANALYTICS_INDEX_FLAG(is_primary), kNeedsIndex},
    {"x.indisexclusion", BOOLOID, PGANALYTICS_INDEX_FLAG(is_exclusion), kNeedsIndex},
    {"x.indisvalid", BOOLOID, PGANALYTICS_INDEX_FLAG(is_valid), kNeedsIndex},
    {"x.indisready", BOOLOID, PGANALYTICS_INDEX_FLAG(is_ready), kNeedsIndex},
    {"x.indislive", BOOLOID, PGANALYTICS_INDEX_FLAG(is_live), kNeedsIndex},
};

#undef PGANALYTICS_INDEX_FLAG

}  // namespace

bool find_relation_field(const Column& column, RelationField* field) {
    for (const KnownField& known : kKnownFields) {
        if (known.sql != column.sql) continue;
        *field = {known.read, known.type, known.needs, 0};
        return true;
    }
    for (const RelationCounter& counter : relation_counters()) {
        if (counter.sql != column.sql || counter.type != column.type) continue;
        *field = {read_counter, type_of(counter), kNeedsCounters, counter.offset};
        return true;
    }
    return false;
}

}  // namespace pganalytics::pg
