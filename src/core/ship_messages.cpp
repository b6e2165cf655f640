// Answer columns (see the header).
#include "pganalytics/core/ship_messages.hpp"

#include "pganalytics/core/column_type.hpp"

namespace pganalytics {

namespace {
using enum ColumnType;
constexpr ColumnType kCollectNow[] = {kText, kText, kText, kInt64, kFloat64, kText};
constexpr ColumnType kPushNow[] = {kUuid, kInt64, kInt64, kInt64, kInt64,
                                   kText, kBool,  kInt64, kInt64};
constexpr ColumnType kStatus[] = {kText, kText, kText, kText, kText};
}  // namespace

std::span<const ColumnType> answer_types(RequestKind kind) {
    switch (kind) {
        case RequestKind::kCollectNow:
            return kCollectNow;
        case RequestKind::kPushNow:
            return kPushNow;
        case RequestKind::kStatus:
            return kStatus;
        case RequestKind::kPreview:
        case RequestKind::kRegister:
        case RequestKind::kUnregister:
        case RequestKind::kReload:
            return {};
    }
    return {};
}

}  // namespace pganalytics
