// What a database knows of an extension whose rowsets the catalog has. Runs in visitors.
#pragma once

#include "pganalytics/core/catalog.hpp"
#include "pganalytics/pg/postgres.hpp"

namespace pganalytics::pg {

// Plain data, in the database's encoding.
struct FoundExtension {
    bool there;
    Oid namespace_oid;
    Oid function;  // the extension's own one of the same name, (boolean); invalid: it has none
    char schema[2 * NAMEDATALEN + 3];  // quoted where it needs it
    char version[32];
};

// One that can be asked: its library is loaded (it has its settings), its function is its own. In a
// transaction; may raise ERROR.
void find_extension(const char* name, FoundExtension* found);

InstalledExtension installed_from(const FoundExtension& found);

}  // namespace pganalytics::pg
