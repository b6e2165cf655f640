// One transaction of the hub (see the header). Runs in the hub worker and in the hub's functions.
#include "pganalytics/pg/hub_transaction.hpp"

#include "pganalytics/core/version.hpp"
#include "pganalytics/pg/hub_sql.hpp"

extern "C" {
#include "catalog/dependency.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_namespace.h"
#include "storage/lmgr.h"
}

namespace pganalytics::pg {

namespace {

constexpr char kExtension[] = "pganalytics";

Statement find_owner = {
    "SELECT extowner::pg_catalog.int8, extversion = $2"
    "  FROM pg_catalog.pg_extension WHERE oid = $1"};

[[noreturn]] void no_extension() {
    ereport(ERROR, (errcode(kNoExtension),
                    errmsg("extension \"%s\" does not exist in database \"%s\"", kExtension,
                           get_database_name(MyDatabaseId)),
                    errhint("Run CREATE EXTENSION %s in it.", kExtension)));
    pg_unreachable();
}

}  // namespace

HubPlace require_extension() {
    HubPlace place;
    place.extension = get_extension_oid(kExtension, true);
    if (!OidIsValid(place.extension)) no_extension();
    LockDatabaseObject(ExtensionRelationId, place.extension, 0, AccessShareLock);
    if (get_extension_oid(kExtension, true) != place.extension) no_extension();
    place.schema = get_namespace_oid(kExtension, true);
    if (!OidIsValid(place.schema) ||
        getExtensionOfObject(NamespaceRelationId, place.schema) != place.extension)
        no_extension();
    Arguments arguments;
    arguments.oid(place.extension);
    arguments.text(kVersion);
    if (run_statement(find_owner, arguments) != 1) no_extension();
    if (!field_boolean(0, 1))
        ereport(ERROR,
                (errcode(kOtherExtensionVersion),
                 errmsg("extension \"%s\" is not of version %s", kExtension, kVersion.data()),
                 errhint("Run ALTER EXTENSION %s UPDATE.", kExtension)));
    place.owner = static_cast<Oid>(field_integer(0, 0));
    return place;
}

namespace detail {

HubPlace begin_hub_work(const HubLimits& limits) {
    set_config_option("lock_timeout", limits.lock, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL,
                      true, 0, false);
    if (SPI_connect() != SPI_OK_CONNECT) elog(ERROR, "pganalytics: SPI_connect failed");
    return require_extension();
}

void end_hub_work() {
    if (SPI_finish() != SPI_OK_FINISH) elog(ERROR, "pganalytics: SPI_finish failed");
}

}  // namespace detail

bool worth_retrying(const FlatError& error) {
    switch (error.code) {
        case ERRCODE_QUERY_CANCELED:
        case ERRCODE_LOCK_NOT_AVAILABLE:
        case ERRCODE_OBJECT_IN_USE:
        case ERRCODE_UNDEFINED_TABLE:
        case ERRCODE_UNDEFINED_COLUMN:
        case kNoExtension:
        case kOtherExtensionVersion:
            return true;
        default:
            break;
    }
    switch (ERRCODE_TO_CATEGORY(error.code)) {
        case ERRCODE_TO_CATEGORY(ERRCODE_INSUFFICIENT_RESOURCES):
        case ERRCODE_TO_CATEGORY(ERRCODE_TRANSACTION_ROLLBACK):
        case ERRCODE_TO_CATEGORY(ERRCODE_OPERATOR_INTERVENTION):
        case ERRCODE_TO_CATEGORY(ERRCODE_IO_ERROR):
            return true;
        default:
            return false;
    }
}

bool blames_push(const FlatError& error) {
    switch (ERRCODE_TO_CATEGORY(error.code)) {
        case ERRCODE_TO_CATEGORY(ERRCODE_DATA_EXCEPTION):
        case ERRCODE_TO_CATEGORY(ERRCODE_PROTOCOL_VIOLATION):  // a field too short for its type
        case ERRCODE_TO_CATEGORY(ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION):
        case ERRCODE_TO_CATEGORY(ERRCODE_PROGRAM_LIMIT_EXCEEDED):
            return true;
        default:
            return false;
    }
}

}  // namespace pganalytics::pg
