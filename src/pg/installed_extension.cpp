// Extensions as they are installed (see the header). Runs in visitors.
#include "pganalytics/pg/installed_extension.hpp"

#include "pganalytics/core/frame.hpp"

namespace pganalytics::pg {

namespace {

// One that can be asked: its library is loaded (it has settings), its function is its own.
constexpr std::string_view kInstalled =
    "SELECT pg_catalog.quote_ident(n.nspname::pg_catalog.text), e.extversion"
    " FROM pg_catalog.pg_extension e"
    " JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) e.extnamespace"
    " WHERE e.extname OPERATOR(pg_catalog.=) '@name@'"
    " AND EXISTS (SELECT FROM pg_catalog.pg_depend d"
    " JOIN pg_catalog.pg_proc p ON p.oid OPERATOR(pg_catalog.=) d.objid"
    " WHERE d.refclassid OPERATOR(pg_catalog.=) 3079::pg_catalog.oid"
    " AND d.refobjid OPERATOR(pg_catalog.=) e.oid AND d.deptype OPERATOR(pg_catalog.=) 'e'"
    " AND d.classid OPERATOR(pg_catalog.=) 1255::pg_catalog.oid"
    " AND p.proname OPERATOR(pg_catalog.=) '@name@'"
    " AND p.pronamespace OPERATOR(pg_catalog.=) n.oid)"
    " AND EXISTS (SELECT FROM pg_catalog.pg_show_all_settings() s"
    " WHERE pg_catalog.starts_with(s.name, '@name@.'))";
constexpr ColumnType kTypes[] = {ColumnType::kText, ColumnType::kText};
constexpr TextForm kForms[2] = {};

}  // namespace

RowShape installed_shape() { return {kTypes, kForms, 2}; }

std::string installed_query(std::string_view extension) {
    constexpr std::string_view kName = "@name@";
    std::string sql(kInstalled);
    for (size_t at = 0; (at = sql.find(kName, at)) != std::string::npos; at += extension.size()) {
        sql.replace(at, kName.size(), extension);
    }
    return sql;
}

InstalledExtension installed_from(const RowEncoder& encoder) {
    InstalledExtension installed;
    if (encoder.first == nullptr) return installed;
    RowReader rows(
        {encoder.first->bytes + kFrameHeaderBytes, encoder.first->used - kFrameHeaderBytes});
    Value values[2];
    std::string_view body;
    if (!rows.next(body) || !decode_row(body, kTypes, values)) return installed;
    installed.schema = values[0].text;
    installed.version = extension_version(values[1].text);
    return installed;
}

}  // namespace pganalytics::pg
