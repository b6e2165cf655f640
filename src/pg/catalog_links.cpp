// What rows of pg_class are joined with (see the header). Runs in visitors.
#include "pganalytics/pg/catalog_links.hpp"

#include <algorithm>

extern "C" {
#include "catalog/pg_am.h"
#include "catalog/pg_index.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_namespace.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
}

namespace pganalytics::pg {

namespace {

void add_link(CatalogLinks* links, const CatalogLink& link) {
    if (links->count == links->capacity) {
        links->capacity = std::max<size_t>(1024, links->capacity * 2);
        const size_t bytes = links->capacity * sizeof(CatalogLink);
        links->entries = static_cast<CatalogLink*>(
            links->entries == nullptr ? MemoryContextAllocHuge(CurrentMemoryContext, bytes)
                                      : repalloc_huge(links->entries, bytes));
    }
    links->entries[links->count++] = link;
}

bool is_before(const CatalogLink& a, const CatalogLink& b) { return a.relation < b.relation; }

void sort_links(CatalogLinks* links) {
    if (!std::is_sorted(links->entries, links->entries + links->count, is_before))
        std::sort(links->entries, links->entries + links->count, is_before);
}

// A number until 18, of a type of its own from 19 on.
using CacheId = decltype(RELOID);

template <class Form>
const NameData* cached_name(CatalogNames* names, CacheId cache, NameData Form::*member, Oid oid) {
    CatalogNames::Entry& entry = names->entries[oid % std::size(names->entries)];
    if (OidIsValid(oid) && entry.oid == oid) return &entry.name;
    HeapTuple const tuple = SearchSysCache1(cache, ObjectIdGetDatum(oid));
    if (!HeapTupleIsValid(tuple)) return nullptr;
    entry.name = reinterpret_cast<const Form*>(GETSTRUCT(tuple))->*member;
    entry.oid = oid;
    ReleaseSysCache(tuple);
    return &entry.name;
}

}  // namespace

void check_select(Oid catalog) {
    if (pg_class_aclcheck(catalog, GetUserId(), ACL_SELECT) != ACLCHECK_OK)
        aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_TABLE, get_rel_name(catalog));
}

void read_indexes(CatalogLinks* links) {
    each_catalog_row(IndexRelationId, [&](HeapTuple tuple, TupleDesc) {
        const auto* index = reinterpret_cast<const FormData_pg_index*>(GETSTRUCT(tuple));
        add_link(links,
                 {index->indexrelid, index->indrelid, index->indisunique, index->indisprimary,
                  index->indisexclusion, index->indisvalid, index->indisready, index->indislive});
        return true;
    });
    sort_links(links);
}

void read_partitions(CatalogLinks* links) {
    each_catalog_row(InheritsRelationId, [&](HeapTuple tuple, TupleDesc) {
        const auto* inherits = reinterpret_cast<const FormData_pg_inherits*>(GETSTRUCT(tuple));
        add_link(links, {inherits->inhrelid, inherits->inhparent, false, false, false, false, false,
                         false});
        return true;
    });
    sort_links(links);
}

// The catalogs are mostly in the order of the relations' creation, so the next is mostly at hand.
const CatalogLink* find_link(CatalogLinks* links, Oid relation) {
    const CatalogLink* const end = links->entries + links->count;
    const CatalogLink* found = links->entries + links->next;
    if (found == end || found->relation != relation) {
        CatalogLink wanted = {};
        wanted.relation = relation;
        found = std::lower_bound<const CatalogLink*>(links->entries, end, wanted, is_before);
    }
    if (found == end || found->relation != relation) return nullptr;
    links->next = static_cast<size_t>(found - links->entries) + 1;
    return found;
}

const NameData* schema_name(CatalogNames* names, Oid schema) {
    return cached_name(names, NAMESPACEOID, &FormData_pg_namespace::nspname, schema);
}

const NameData* access_method_name(CatalogNames* names, Oid method) {
    return cached_name(names, AMOID, &FormData_pg_am::amname, method);
}

}  // namespace pganalytics::pg
