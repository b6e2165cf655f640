// Extensions as they are installed (see the header). Runs in visitors.
#include "pganalytics/pg/installed_extension.hpp"

#include "pganalytics/pg/guard.hpp"

extern "C" {
#include "access/genam.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "utils/catcache.h"
#include "utils/fmgroids.h"
#include "utils/syscache.h"
}

namespace pganalytics::pg {

namespace {

// Each of them has this setting, which its library defines; one that only stands in a file is a
// placeholder.
bool is_loaded(const char* name) {
    char setting[NAMEDATALEN + 8];
    std::snprintf(setting, sizeof setting, "%s.max", name);
    return GetConfigOption(setting, true, false) != nullptr &&
           (GetConfigOptionFlags(setting, true) & GUC_CUSTOM_PLACEHOLDER) == 0;
}

// Invalid: there is no such extension.
Oid look_up(const char* name, FoundExtension* found) {
    Oid extension = InvalidOid;
    Relation relation = table_open(ExtensionRelationId, AccessShareLock);
    ScanKeyData key;
    ScanKeyInit(&key, Anum_pg_extension_extname, BTEqualStrategyNumber, F_NAMEEQ,
                CStringGetDatum(name));
    SysScanDesc scan = systable_beginscan(relation, ExtensionNameIndexId, true, nullptr, 1, &key);
    if (HeapTuple tuple = systable_getnext(scan); HeapTupleIsValid(tuple)) {
        const auto* row = reinterpret_cast<Form_pg_extension>(GETSTRUCT(tuple));
        bool is_null = false;
        const Datum version =
            heap_getattr(tuple, Anum_pg_extension_extversion, RelationGetDescr(relation), &is_null);
        if (!is_null) {
            extension = row->oid;
            found->namespace_oid = row->extnamespace;
            copy_text(found->version, TextDatumGetCString(version));
        }
    }
    systable_endscan(scan);
    table_close(relation, AccessShareLock);
    return extension;
}

bool takes_one_boolean(const FormData_pg_proc& function) {
    return function.pronargs == 1 && function.proargtypes.values[0] == BOOLOID &&
           function.proretset && function.prolang == ClanguageId;
}

// Whether the extension has a function of its name in its schema; that which takes a boolean.
bool find_function(const char* name, Oid extension, FoundExtension* found) {
    bool any = false;
    CatCList* const list = SearchSysCacheList1(PROCNAMEARGSNSP, CStringGetDatum(name));
    for (int i = 0; i < list->n_members; ++i) {
        HeapTuple tuple = &list->members[i]->tuple;
        const auto* function = reinterpret_cast<Form_pg_proc>(GETSTRUCT(tuple));
        if (function->pronamespace != found->namespace_oid ||
            getExtensionOfObject(ProcedureRelationId, function->oid) != extension)
            continue;
        any = true;
        if (takes_one_boolean(*function)) found->function = function->oid;
    }
    ReleaseSysCacheList(list);
    return any;
}

}  // namespace

void find_extension(const char* name, FoundExtension* found) {
    *found = FoundExtension{};
    if (!is_loaded(name)) return;
    const Oid extension = look_up(name, found);
    if (!OidIsValid(extension) || !find_function(name, extension, found)) return;
    const char* const schema = get_namespace_name(found->namespace_oid);
    if (schema == nullptr) return;
    copy_text(found->schema, quote_identifier(schema));
    found->there = true;
}

InstalledExtension installed_from(const FoundExtension& found) {
    if (!found.there) return {};
    return {found.schema, extension_version(found.version)};
}

}  // namespace pganalytics::pg
