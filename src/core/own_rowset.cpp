// Users' own rowsets (see the header). Pure.
#include "pganalytics/core/own_rowset.hpp"

#include <algorithm>
#include <set>

#include "pganalytics/core/hub_schema.hpp"
#include "pganalytics/core/json_writer.hpp"

namespace pganalytics {

namespace {

bool has_control(std::string_view text) {
    return std::any_of(text.begin(), text.end(),
                       [](char c) { return static_cast<unsigned char>(c) < ' ' || c == 0x7f; });
}

// The value of a column as json will have it.
std::string json_expression(const OwnColumn& column) {
    const std::string value = "q." + quote_identifier(column.name);
    switch (column.type) {
        case OwnType::kBool:
            return value + "::pg_catalog.bool";
        case OwnType::kInt64:
            return value + "::pg_catalog.int8";
        case OwnType::kFloat64:
            // (the three that are not finite are equal to themselves)
            return "CASE WHEN " + value +
                   "::pg_catalog.float8 OPERATOR(pg_catalog.<>) ALL"
                   " (ARRAY['NaN','Infinity','-Infinity']::pg_catalog.float8[])"
                   " THEN " +
                   value + "::pg_catalog.float8 END";
        case OwnType::kTimestamp:
            return "CASE WHEN pg_catalog.isfinite(" + value + "::pg_catalog.timestamptz) THEN " +
                   value + "::pg_catalog.timestamptz END";
        case OwnType::kText:
        case OwnType::kLsn:
        case OwnType::kUuid:
            break;
    }
    return value + "::pg_catalog.text";
}

const char* column_problem(const OwnColumn& column) {
    if (column.name.empty()) return "a column has no name";
    if (column.name.size() > kMostOwnIdentifierBytes) return "a column's name is too long";
    if (has_control(column.name)) return "a column's name has control characters";
    if (is_taken_by_view(column.name))
        return "columns can't be named server, time, collector_id, datid or datname";
    if (column.unit.size() > kMostOwnUnitBytes || has_control(column.unit))
        return "a column's unit is too long or has control characters";
    const bool is_number = column.type == OwnType::kInt64 || column.type == OwnType::kFloat64;
    if (column.kind == Kind::kCounter && !is_number) return "a counter must be a number";
    return nullptr;
}

}  // namespace

std::string_view own_type_name(OwnType type) {
    switch (type) {
        case OwnType::kBool:
            return "boolean";
        case OwnType::kInt64:
            return "bigint";
        case OwnType::kFloat64:
            return "double precision";
        case OwnType::kText:
            return "text";
        case OwnType::kTimestamp:
            return "timestamp with time zone";
        case OwnType::kLsn:
            return "pg_lsn";
        case OwnType::kUuid:
            return "uuid";
    }
    return "";
}

std::optional<OwnType> own_type_of(std::string_view name) {
    for (const OwnType type : kOwnTypes) {
        if (own_type_name(type) == name) return type;
    }
    return std::nullopt;
}

std::optional<Kind> kind_of(std::string_view name) {
    for (const Kind kind : {Kind::kKey, Kind::kLabel, Kind::kCounter, Kind::kGauge}) {
        if (kind_name(kind) == name) return kind;
    }
    return std::nullopt;
}

bool is_own_name(std::string_view name) {
    const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || c == '_'; };
    if (name.empty() || name.size() > kMostOwnNameBytes || !is_letter(name[0])) return false;
    return std::all_of(name.begin(), name.end(),
                       [&](char c) { return is_letter(c) || (c >= '0' && c <= '9'); });
}

bool is_own_digest(std::string_view text) {
    return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

bool is_taken_by_view(std::string_view column) {
    return column == "server" || column == "time" || column == "collector_id" ||
           column == "datid" || column == "datname";
}

const char* own_definition_problem(const OwnDefinition& definition) {
    if (!is_own_name(definition.name))
        return "the name must be of lower case letters, digits and underscores, at most 40, and "
               "not "
               "begin with a digit";
    if (!is_own_digest(definition.digest)) return "malformed digest";
    if (definition.sql.empty()) return "there is no query";
    if (definition.sql.size() > kMostOwnSqlBytes) return "the query is longer than 16 kB";
    if (definition.period_s < kLeastOwnPeriodSeconds || definition.period_s > kMostOwnPeriodSeconds)
        return "the period must be between 1 second and 1 day";
    if (definition.definer.empty() || definition.definer.size() > kMostOwnIdentifierBytes)
        return "there is no definer";
    if (definition.columns.empty()) return "there are no columns";
    if (definition.columns.size() > kMostOwnColumns) return "there are more than 64 columns";
    std::set<std::string_view> names;
    for (const OwnColumn& column : definition.columns) {
        if (const char* problem = column_problem(column)) return problem;
        if (!names.insert(column.name).second) return "two columns have one name";
    }
    return nullptr;
}

std::string own_query(const OwnDefinition& definition, uint32_t datid) {
    std::string keys;
    std::string row;
    std::string texts;  // bytes of all of them
    for (const OwnColumn& column : definition.columns) {
        const std::string value = json_expression(column);
        if (column.type == OwnType::kText) {
            texts += texts.empty() ? "" : " OPERATOR(pg_catalog.+) ";
            texts += "COALESCE(pg_catalog.octet_length(" + value + ")::pg_catalog.int8, 0)";
        }
        row += row.empty() ? "" : ", ";
        row += value + " AS " + quote_identifier(column.name);
        if (column.kind != Kind::kKey) continue;
        keys += keys.empty() ? "" : ", ";
        keys += value;
    }
    // A text that is too long is not made a part of anything.
    const auto where_short = [&](const std::string& expression) {
        if (texts.empty()) return expression;
        return "CASE WHEN " + texts + " OPERATOR(pg_catalog.<=) " +
               std::to_string(kMostOwnRowBytes) + " THEN " + expression + " END";
    };
    return "SELECT " + std::to_string(datid) + "::pg_catalog.oid AS datid, " +
           quote_literal(definition.name) + "::pg_catalog.text AS rowset, " +
           quote_literal(definition.digest) +
           "::pg_catalog.text AS digest,\n"
           "       " +
           where_short("pg_catalog.json_build_array(" + keys + ")::pg_catalog.text") +
           " AS key,\n"
           "       " +
           where_short("(SELECT pg_catalog.row_to_json(r) FROM (SELECT " + row + ") r)") +
           " AS \"row\"\nFROM (\n" + definition.sql + "\n) q";
}

std::string own_columns_json(const OwnDefinition& definition) {
    std::string out = "[";
    for (const OwnColumn& column : definition.columns) {
        if (out.size() > 1) out += ',';
        out += '{';
        append_json_name(out, "name");
        append_json_text(out, column.name);
        append_json_name(out, "kind");
        append_json_text(out, kind_name(column.kind));
        append_json_name(out, "type");
        append_json_text(out, own_type_name(column.type));
        append_json_name(out, "unit");
        append_json_text(out, column.unit);
        out += '}';
    }
    return out + "]";
}

std::string own_error_to_send(std::string_view sqlstate, std::string_view message) {
    if (sqlstate.empty()) return std::string(message);
    return "SQLSTATE " + std::string(sqlstate) + "; pganalytics_status() there has the message";
}

}  // namespace pganalytics
