// The worker's tables joined with the catalog (see the header). Pure.
#include "pganalytics/serve/push_targets.hpp"

#include <algorithm>

#include "pganalytics/core/row_format.hpp"

namespace pganalytics::serve {

namespace {

Error misfit(const Rowset& rowset) {
    return make_error(sqlstate::kProtocolViolation,
                      "columns of the hub's table for rowset \"" + std::string(rowset.plugin) +
                          "." + std::string(rowset.name) + "\" do not fit the catalog");
}

Result<PushTarget> make_target(const ServeTarget& announced) {
    if (announced.rowset >= catalog().size()) {
        return make_error(sqlstate::kProtocolViolation, "rowset number beyond the catalog");
    }
    PushTarget target;
    target.rowset = &catalog()[announced.rowset];
    target.number = announced.rowset;
    target.name = std::string(target.rowset->plugin) + "." + std::string(target.rowset->name);
    const std::vector<const Column*> known = all_columns(*target.rowset);
    using Source = TargetField::Source;
    for (const std::string& name : announced.columns) {
        if (target.fields.size() < 2) {
            const bool is_time = target.fields.empty();
            if (name != (is_time ? "time" : "collector_id")) return misfit(*target.rowset);
            target.fields.push_back({is_time ? Source::kTime : Source::kCollector, 0});
            continue;
        }
        const auto column = std::find_if(known.begin(), known.end(),
                                         [&](const Column* c) { return c->name == name; });
        if (column != known.end()) {
            target.fields.push_back(
                {Source::kColumn, static_cast<uint16_t>(target.columns.size())});
            target.columns.push_back(*column);
        } else if (name == "datname" && is_of_database(*target.rowset)) {
            target.fields.push_back({Source::kDatname, 0});
        } else {
            return misfit(*target.rowset);
        }
    }
    if (target.fields.size() < 3 || target.fields.size() > kMaxColumns + 3) {
        return misfit(*target.rowset);
    }
    target.keys = key_count(target.columns);
    const size_t datid = target.find_column("datid");
    if (is_of_database(*target.rowset) && datid < target.keys &&
        target.columns[datid]->type == ColumnType::kOid) {
        target.datid = datid;
    }
    return target;
}

}  // namespace

size_t PushTarget::find_column(std::string_view column, size_t guess) const {
    if (guess < columns.size() && columns[guess]->name == column) return guess;
    for (size_t i = 0; i < columns.size(); ++i) {
        if (columns[i]->name == column) return i;
    }
    return kNone;
}

Result<PushTargets> PushTargets::make(const ServeTargets& announced) {
    PushTargets made;
    for (const ServeTarget& one : announced.targets) {
        Result<PushTarget> target = make_target(one);
        if (!target) return std::move(target).error();
        made.targets_.push_back(*std::move(target));
    }
    return made;
}

bool PushTargets::knows_plugin(std::string_view plugin) const {
    return std::any_of(targets_.begin(), targets_.end(), [&](const PushTarget& target) {
        return target.rowset->plugin == plugin && target.rowset->scope != Scope::kHub;
    });
}

const PushTarget* PushTargets::find(std::string_view plugin, std::string_view rowset) const {
    for (const PushTarget& target : targets_) {
        if (target.rowset->plugin == plugin && target.rowset->name == rowset) {
            return target.rowset->scope == Scope::kHub ? nullptr : &target;
        }
    }
    return nullptr;
}

const PushTarget* PushTargets::find_own(std::string_view rowset) const {
    for (const PushTarget& target : targets_) {
        if (target.rowset->scope == Scope::kHub && target.rowset->name == rowset) return &target;
    }
    return nullptr;
}

}  // namespace pganalytics::serve
