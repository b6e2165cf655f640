// What a pass knows of a database (see the header).
#include "pganalytics/core/object_table.hpp"

#include <utility>

namespace pganalytics {

namespace {
constexpr size_t kLeastPlaces = 16;
constexpr uint64_t kSpread = 0x9e3779b97f4a7c15;
}  // namespace

// At most three quarters are taken.
ObjectTable::ObjectTable(size_t objects) : places_(objects + objects / 3 + kLeastPlaces) {}

size_t ObjectTable::start_of(StatisticsKind kind, uint32_t oid) const {
    const uint64_t mixed = (uint64_t{static_cast<uint8_t>(kind)} << 32 | oid) * kSpread;
    return static_cast<size_t>((mixed >> 32) * places_.size() >> 32);
}

// Where it is, or would be.
KnownObject& ObjectTable::place_of(StatisticsKind kind, uint32_t oid) {
    for (size_t i = start_of(kind, oid);;) {
        KnownObject& place = places_[i];
        if (!place.has(KnownObject::kUsed) || (place.oid == oid && place.kind() == kind))
            return place;
        if (++i == places_.size()) i = 0;
    }
}

KnownObject* ObjectTable::find(StatisticsKind kind, uint32_t oid) {
    KnownObject& place = place_of(kind, oid);
    return place.is_there() ? &place : nullptr;
}

KnownObject& ObjectTable::at(StatisticsKind kind, uint32_t oid) {
    KnownObject* place = &place_of(kind, oid);
    if (!place->has(KnownObject::kUsed)) {
        if ((used_ + 1) * 4 > places_.size() * 3) {
            std::vector<KnownObject> before(places_.size() * 2);
            before.swap(places_);
            used_ = 0;
            for (const KnownObject& object : before) {
                if (!object.is_there()) continue;
                place_of(object.kind(), object.oid) = object;
                ++used_;
            }
            place = &place_of(kind, oid);
        }
        ++used_;
    }
    if (!place->is_there()) {
        *place = {};
        place->oid = oid;
        place->flags = KnownObject::kUsed;
        if (kind == StatisticsKind::kFunction) place->set(KnownObject::kFunction);
    }
    return *place;
}

}  // namespace pganalytics
