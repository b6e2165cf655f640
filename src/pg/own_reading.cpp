// A user's own rowset, read (see the header). Runs in visitors and in sessions.
#include "pganalytics/pg/own_reading.hpp"

#include <set>

#include "pganalytics/core/frame.hpp"
#include "pganalytics/pg/compat.hpp"

namespace pganalytics::pg {

namespace {

// own.rows
constexpr ColumnType kRowTypes[] = {ColumnType::kOid, ColumnType::kText, ColumnType::kText,
                                    ColumnType::kText, ColumnType::kJson};
constexpr TextForm kRowForms[5] = {};
constexpr int kKeyColumn = 3;
constexpr int kRowColumn = 4;
constexpr RowShape kRowShape = {kRowTypes, kRowForms, 5};

// Only the extension's own table, of a superuser, counts: a schema of that name proves nothing.
constexpr const char* kTableQuery =
    "SELECT EXISTS (SELECT FROM (SELECT c.relacl UNION ALL SELECT t.attacl"
    " FROM pg_catalog.pg_attribute t WHERE t.attrelid OPERATOR(pg_catalog.=) c.oid) l(acl)"
    " CROSS JOIN LATERAL pg_catalog.aclexplode(l.acl) a"
    " WHERE a.grantee OPERATOR(pg_catalog.<>) c.relowner"
    " AND a.privilege_type OPERATOR(pg_catalog.<>) 'SELECT')"
    " FROM pg_catalog.pg_class c"
    " JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace"
    " JOIN pg_catalog.pg_depend d ON d.classid OPERATOR(pg_catalog.=) 1259::pg_catalog.oid"
    " AND d.objid OPERATOR(pg_catalog.=) c.oid AND d.objsubid OPERATOR(pg_catalog.=) 0"
    " AND d.refclassid OPERATOR(pg_catalog.=) 3079::pg_catalog.oid"
    " AND d.deptype OPERATOR(pg_catalog.=) 'e'"
    " JOIN pg_catalog.pg_extension e ON e.oid OPERATOR(pg_catalog.=) d.refobjid"
    " AND e.extname OPERATOR(pg_catalog.=) 'pganalytics'"
    " JOIN pg_catalog.pg_roles r ON r.oid OPERATOR(pg_catalog.=) c.relowner AND r.rolsuper"
    " WHERE n.nspname OPERATOR(pg_catalog.=) 'pganalytics'"
    " AND c.relname OPERATOR(pg_catalog.=) 'own_rowset' AND c.relkind OPERATOR(pg_catalog.=) 'r'";
constexpr ColumnType kTableTypes[] = {ColumnType::kBool};
constexpr TextForm kTableForms[1] = {};

// A row a column, one at least a definition.
constexpr const char* kDefinitionsQuery =
    "SELECT o.name, " PGANALYTICS_OWN_DIGEST
    ", o.sql, o.definer, o.scope OPERATOR(pg_catalog.=) 'cluster',"
    " EXTRACT(epoch FROM o.period)::pg_catalog.int8, o.defined_at, c.value "
    "OPERATOR(pg_catalog.->>) 'name',"
    " c.value OPERATOR(pg_catalog.->>) 'kind', c.value OPERATOR(pg_catalog.->>) 'type',"
    " c.value OPERATOR(pg_catalog.->>) 'unit'"
    " FROM (SELECT * FROM ONLY pganalytics.own_rowset r"
    " ORDER BY r.name COLLATE pg_catalog.\"C\" LIMIT 32) o"
    " LEFT JOIN LATERAL pg_catalog.jsonb_array_elements(o.columns) WITH ORDINALITY c(value, place)"
    " ON c.place OPERATOR(pg_catalog.<=) 65"
    " ORDER BY o.name COLLATE pg_catalog.\"C\", c.place";
static_assert(kMostOwnRowsets == 32 && kMostOwnColumns == 64);
constexpr ColumnType kDefinitionTypes[] = {
    ColumnType::kText, ColumnType::kText,  ColumnType::kText,      ColumnType::kText,
    ColumnType::kBool, ColumnType::kInt64, ColumnType::kTimestamp, ColumnType::kText,
    ColumnType::kText, ColumnType::kText,  ColumnType::kText};
constexpr int kDefinitionColumns = 11;
constexpr TextForm kDefinitionForms[kDefinitionColumns] = {};

// Who it runs as.
Oid acting_user(const char* definer) {
    if (!superuser_arg(GetSessionUserId()) || definer == nullptr) return GetUserId();
    const Oid role = get_role_oid(definer, true);
    if (!OidIsValid(role))
        ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
                        errmsg("role \"%s\", as which it is read, does not exist", definer)));
    return role;
}

void run_it(const OwnQuery& query, RowEncoder* encoder) {
    require_one_select(query.sql);
    if (SPI_connect() != SPI_OK_CONNECT) elog(ERROR, "pganalytics: SPI_connect failed");
    SPIPlanPtr plan = SPI_prepare(query.query, 0, nullptr);
    if (plan == nullptr)
        ereport(ERROR,
                (errcode(ERRCODE_INTERNAL_ERROR),
                 errmsg("query could not be prepared: %s", SPI_result_code_string(SPI_result))));
    begin_rows(encoder, kRowShape, query.has_key ? query.max_rows : 1);
    encoder->max_bytes = kMostOwnBytes;
    encoder->max_row_bytes = kMostOwnRowBytes;
    encoder->required = kRowColumn;
    run_plan_into(plan, &encoder->receiver, 0);
    SPI_finish();
}

// --- C++ values, between PostgreSQL calls

std::string text_of(const Value& value) {
    return value.null ? std::string() : std::string(value.text);
}

OwnDefinition definition_from(const Value* values) {
    OwnDefinition definition;
    definition.name = text_of(values[0]);
    definition.digest = text_of(values[1]);
    definition.sql = text_of(values[2]);
    definition.definer = text_of(values[3]);
    definition.cluster = values[4].integer != 0;
    definition.period_s = values[5].integer;
    definition.defined_at = values[6].integer;
    return definition;
}

void add_column(OwnDefinition& definition, const Value* values) {
    if (values[0].null && values[1].null) return;
    OwnColumn column;
    column.name = text_of(values[0]);
    column.unit = text_of(values[3]);
    const auto kind = kind_of(text_of(values[1]));
    const auto type = own_type_of(text_of(values[2]));
    if (kind) column.kind = *kind;
    if (type) column.type = *type;
    if (!kind || !type) definition.problem = "a column has an unknown kind or type";
    definition.columns.push_back(std::move(column));
}

}  // namespace

void require_one_select(const char* sql) {
    const List* statements = pg_parse_query(sql);
    bool good = list_length(statements) == 1;
    if (good) {
        const Node* statement = linitial_node(RawStmt, statements)->stmt;
        good = IsA(statement, SelectStmt) &&
               reinterpret_cast<const SelectStmt*>(statement)->intoClause == nullptr;
    }
    if (!good)
        ereport(ERROR,
                (errcode(ERRCODE_SYNTAX_ERROR), errmsg("a rowset's query must be one SELECT")));
}

void run_own_query(const OwnQuery& query, RowEncoder* encoder) {
    Oid user = InvalidOid;
    int context = 0;
    GetUserIdAndSecContext(&user, &context);
    SetUserIdAndSecContext(acting_user(query.definer),
                           context | SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION);
    const int level = NewGUCNestLevel();
    run_it(query, encoder);
    AtEOXact_GUC(false, level);
    SetUserIdAndSecContext(user, context);
}

const char* own_result_problem(const OwnQuery& query, const RowEncoder& encoder) {
    if (encoder.cut && !query.has_key)
        return "more than one row, and no key column tells them apart";
    if (encoder.cut_by_bytes) return "more than 4 MB";
    if (encoder.cut) return "more rows than a rowset may have";
    if (encoder.too_long > 0) return "a row longer than 32 kB";
    return nullptr;
}

const char* own_keys_problem(const RowEncoder& encoder) {
    std::set<std::string, std::less<>> keys;
    for (const RowChunk* chunk = encoder.first; chunk != nullptr; chunk = chunk->next) {
        RowReader rows({chunk->bytes + kFrameHeaderBytes, chunk->used - kFrameHeaderBytes});
        for (std::string_view body; rows.next(body);) {
            Value values[kRowShape.columns];
            if (!decode_row(body, kRowTypes, values)) return "malformed row";
            const std::string_view key = values[kKeyColumn].text;
            if (key.size() > kMostOwnKeyBytes) return "a key longer than 2 kB";
            if (!keys.emplace(key).second) return "two rows have the same key";
        }
    }
    return nullptr;
}

const char* own_table_query() { return kTableQuery; }
RowShape own_table_shape() { return {kTableTypes, kTableForms, 1}; }
const char* own_definitions_query() { return kDefinitionsQuery; }
RowShape own_definitions_shape() {
    return {kDefinitionTypes, kDefinitionForms, kDefinitionColumns};
}

std::vector<OwnDefinition> own_definitions_from(const RowEncoder& encoder) {
    std::vector<OwnDefinition> definitions;
    for (const RowChunk* chunk = encoder.first; chunk != nullptr; chunk = chunk->next) {
        RowReader rows({chunk->bytes + kFrameHeaderBytes, chunk->used - kFrameHeaderBytes});
        for (std::string_view body; rows.next(body);) {
            Value values[kDefinitionColumns];
            if (!decode_row(body, kDefinitionTypes, values)) break;
            if (definitions.empty() || definitions.back().name != values[0].text)
                definitions.push_back(definition_from(values));
            add_column(definitions.back(), values + 7);
        }
    }
    for (OwnDefinition& definition : definitions) {
        const char* problem = own_definition_problem(definition);
        if (problem != nullptr && definition.problem.empty()) definition.problem = problem;
    }
    return definitions;
}

}  // namespace pganalytics::pg
