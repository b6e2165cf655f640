// Own rowsets as the collector knows them (see the header).
#include "pganalytics/core/own_registry.hpp"

#include <algorithm>

#include "pganalytics/core/row_format.hpp"

namespace pganalytics {

namespace {

// Nobody's fault: a conflict with others' locks or with recovery, the end of the server or session.
bool is_passing(std::string_view sqlstate) {
    return sqlstate.starts_with("40") || sqlstate.starts_with("57P") || sqlstate == "55P03";
}

bool same(const OwnDefinition& a, const OwnDefinition& b) {
    return a.name == b.name && a.digest == b.digest && a.defined_at == b.defined_at &&
           a.definer == b.definer && a.cluster == b.cluster && a.problem == b.problem;
}

}  // namespace

// Used up, they begin again, but for those that are in use.
uint16_t OwnRegistry::free_number(const std::vector<Entry>& now) {
    const auto is_taken = [this](const Entry& entry) {
        return entry.definition.number == last_number_;
    };
    for (bool taken = true; taken;) {
        if (++last_number_ < kFirstOwnNumber) last_number_ = kFirstOwnNumber;
        taken = std::any_of(now.begin(), now.end(), is_taken) ||
                std::any_of(definitions_.begin(), definitions_.end(), is_taken);
    }
    return last_number_;
}

std::vector<uint16_t> OwnRegistry::set(std::vector<OwnDefinition> definitions) {
    std::vector<Entry> now;
    std::vector<uint16_t> fresh;
    for (OwnDefinition& definition : definitions) {
        const auto known =
            std::find_if(definitions_.begin(), definitions_.end(),
                         [&](const Entry& entry) { return same(entry.definition, definition); });
        Entry entry;
        if (known != definitions_.end()) {
            entry = std::move(*known);
            definition.number = entry.definition.number;
            definitions_.erase(known);
        } else {
            definition.number = free_number(now);
            fresh.push_back(definition.number);
            entry.error = definition.problem;
        }
        entry.definition = std::move(definition);
        now.push_back(std::move(entry));
    }
    definitions_ = std::move(now);
    return fresh;
}

const OwnRegistry::Entry* OwnRegistry::entry_of(uint16_t number) const {
    const auto found =
        std::find_if(definitions_.begin(), definitions_.end(),
                     [&](const Entry& entry) { return entry.definition.number == number; });
    return found == definitions_.end() ? nullptr : &*found;
}

const OwnDefinition* OwnRegistry::find(uint16_t number) const {
    const Entry* entry = entry_of(number);
    return entry == nullptr ? nullptr : &entry->definition;
}

bool OwnRegistry::is_off(uint16_t number, uint32_t datid) const {
    const Entry* entry = entry_of(number);
    if (entry == nullptr || !entry->definition.problem.empty()) return true;
    const auto place = entry->places.find(datid);
    return place != entry->places.end() && place->second.in_a_row >= kOwnFailures;
}

bool OwnRegistry::read(uint16_t number, uint32_t datid, std::string_view sqlstate,
                       std::string_view error) {
    auto* entry = const_cast<Entry*>(entry_of(number));
    if (entry == nullptr) return false;
    Place& place = entry->places[datid];
    if (sqlstate.empty()) {
        place.in_a_row = 0;
        return false;
    }
    ++entry->failures;
    entry->error = error;
    entry->sqlstate = sqlstate;
    if (is_passing(sqlstate)) return false;
    return ++place.in_a_row == kOwnFailures;
}

void OwnRegistry::retry() {
    for (Entry& entry : definitions_) entry.places.clear();
}

void OwnRegistry::keep_databases(const std::vector<uint32_t>& datids) {
    for (Entry& entry : definitions_) {
        std::erase_if(entry.places, [&](const auto& place) {
            return std::find(datids.begin(), datids.end(), place.first) == datids.end();
        });
    }
}

std::vector<OwnState> OwnRegistry::states() const {
    std::vector<OwnState> states;
    for (const Entry& entry : definitions_) {
        OwnState state;
        state.definition = entry.definition;
        state.failures = entry.failures;
        state.error = entry.error;
        state.sqlstate = entry.sqlstate;
        state.tried = static_cast<uint32_t>(entry.places.size());
        state.off = static_cast<uint32_t>(
            std::count_if(entry.places.begin(), entry.places.end(),
                          [](const auto& place) { return place.second.in_a_row >= kOwnFailures; }));
        states.push_back(std::move(state));
    }
    return states;
}

std::vector<OwnNumber> OwnRegistry::numbers() const {
    std::vector<OwnNumber> numbers;
    for (const Entry& entry : definitions_)
        numbers.push_back({entry.definition.number, entry.definition.name});
    return numbers;
}

std::string_view own_state_text(const OwnState& state) {
    if (!state.definition.problem.empty()) return "off";
    if (state.off == 0) return "on";
    return state.off == state.tried ? "off" : "partly off";
}

std::string OwnRegistry::rows(size_t& count) const {
    const std::vector<ColumnType> types = types_of(all_columns(*find_rowset("own", "rowsets")));
    RowBuilder rows(types);
    for (const OwnState& state : states()) {
        const OwnDefinition& definition = state.definition;
        rows.begin();
        rows.text(definition.name);
        rows.text(definition.digest);
        rows.text(definition.cluster ? "cluster" : "database");
        rows.integer(definition.period_s);
        rows.text(own_columns_json(definition));
        rows.text(own_state_text(state));
        rows.integer(state.off);
        rows.integer(static_cast<int64_t>(state.failures));
        if (state.error.empty()) {
            rows.null();
        } else {
            rows.text(own_error_to_send(state.sqlstate, state.error));
        }
        rows.end();
    }
    count = rows.count();
    return rows.take();
}

}  // namespace pganalytics
