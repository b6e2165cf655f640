// A disk in memory that behaves as badly as a real one may: what was not synced is lost in part, in
// any order, torn at any byte; names that were not synced are there or not; it fills up, fails a
// write half way, and after a failed sync has dropped what it then calls written.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "pganalytics/ship/spool_files.hpp"

namespace pganalytics::ship {

using Random = std::mt19937_64;

inline uint64_t below(Random& random, uint64_t bound) { return bound == 0 ? 0 : random() % bound; }
inline bool one_in(Random& random, uint64_t n) { return below(random, n) == 0; }

class SimulatedFiles final : public SpoolFiles {
  public:
    struct Data {
        std::string durable;
        std::string current;
        size_t dirty_from = 0;  // of `current`; before that it is as `durable`
        std::string broken;     // of `current`, bytes that a failed sync threw away: 1 for each
    };
    using Names = std::map<std::string, std::shared_ptr<Data>>;

    // Each call first goes through this: an error instead of the call's effect; a failing append
    // may have written a part.
    std::function<bool(std::string_view call)> fails = [](std::string_view) { return false; };
    // Sees the state before each call that changes something.
    std::function<void(const SimulatedFiles&)> before_change = [](const SimulatedFiles&) {};
    uint64_t capacity = UINT64_MAX;
    uint64_t foreign = 0;  // bytes of others on the volume
    uint64_t total = uint64_t{100} << 30;
    uint64_t highest = 0;  // most bytes that there were at once
    Random* random = nullptr;

    uint64_t bytes() const {
        uint64_t sum = 0;
        for (const auto& [name, data] : names_) sum += data->current.size();
        return sum;
    }
    const Names& names() const { return names_; }
    std::string& content(const std::string& name) { return names_.at(name)->current; }
    void put(const std::string& name, std::string bytes) {
        names_[name] = std::make_shared<Data>(Data{bytes, bytes, bytes.size(), {}});
        durable_names_[name] = names_[name];
    }

    // What is there after the power went off now.
    std::unique_ptr<SimulatedFiles> after_power_cut(Random& rng) const {
        auto later = std::make_unique<SimulatedFiles>();
        Names names = durable_names_;
        for (const Change& change : changes_)
            if (one_in(rng, 2)) apply(change, names);
        for (const auto& [name, data] : names) later->put(name, surviving(*data, rng));
        return later;
    }
    // After the process was killed: everything written is there.
    std::unique_ptr<SimulatedFiles> after_kill() const {
        auto later = std::make_unique<SimulatedFiles>();
        for (const auto& [name, data] : names_) later->put(name, data->current);
        return later;
    }

    Result<std::vector<Entry>> list() override {
        if (fails("list")) return error();
        std::vector<Entry> entries;
        for (const auto& [name, data] : names_) entries.push_back({name, data->current.size()});
        return entries;
    }
    Status create(const std::string& name) override {
        before_change(*this);
        if (fails("create") || names_.contains(name)) return error();
        change({Change::kCreate, name, {}, std::make_shared<Data>()});
        return {};
    }
    Status append(const std::string& name, std::string_view bytes) override {
        before_change(*this);
        Data* data = find(name);
        if (data == nullptr) return error();
        const bool full = this->bytes() + foreign + bytes.size() > capacity;
        const bool failed = fails("append") || full;
        if (failed && random != nullptr) bytes = bytes.substr(0, below(*random, bytes.size()));
        if (full)
            bytes = bytes.substr(0, std::min(bytes.size(), capacity - this->bytes() - foreign));
        // Somebody looks while it is half written, too.
        const size_t half = random == nullptr ? 0 : below(*random, bytes.size() + 1);
        data->current.append(bytes.substr(0, half));
        if (half > 0) before_change(*this);
        data->current.append(bytes.substr(half));
        highest = std::max(highest, this->bytes());
        if (failed) return error();
        return {};
    }
    Status truncate(const std::string& name, uint64_t bytes) override {
        before_change(*this);
        Data* data = find(name);
        if (fails("truncate") || data == nullptr) return error();
        data->current.resize(bytes);
        data->dirty_from = std::min<size_t>(data->dirty_from, bytes);
        if (data->broken.size() > bytes) data->broken.resize(bytes);
        return {};
    }
    Status sync(const std::string& name) override {
        before_change(*this);
        Data* data = find(name);
        if (data == nullptr) return error();
        if (fails("sync")) {
            data->broken.resize(data->current.size(), '\0');
            std::fill(data->broken.begin() + static_cast<std::ptrdiff_t>(data->dirty_from),
                      data->broken.end(), '\1');
            data->dirty_from = data->current.size();
            return error();
        }
        data->durable = as_on_disk(*data);
        data->dirty_from = data->current.size();
        return {};
    }
    Result<std::string> read(const std::string& name, uint64_t offset, size_t bytes) override {
        const Data* data = find(name);
        if (fails("read") || data == nullptr) return error();
        if (offset >= data->current.size()) return std::string();
        return data->current.substr(offset, bytes);
    }
    Status rename(const std::string& from, const std::string& to) override {
        before_change(*this);
        if (fails("rename") || find(from) == nullptr) return error();
        change({Change::kRename, from, to, {}});
        return {};
    }
    Status remove(const std::string& name) override {
        before_change(*this);
        if (fails("remove")) return error();
        if (find(name) != nullptr) change({Change::kRemove, name, {}, {}});
        return {};
    }
    Status sync_directory() override {
        before_change(*this);
        if (fails("sync_directory")) return error();
        for (const Change& change : changes_) apply(change, durable_names_);
        changes_.clear();
        return {};
    }
    Result<SpoolSpace> space() override {
        if (fails("space")) return error();
        const uint64_t used = foreign + bytes();
        return SpoolSpace{total, used > total ? 0 : total - used};
    }

  private:
    struct Change {
        enum Kind { kCreate, kRename, kRemove } kind;
        std::string name;
        std::string to;
        std::shared_ptr<Data> data;
    };
    static Error error() { return make_error(sqlstate::kIoError, "simulated error"); }
    Data* find(const std::string& name) {
        const auto found = names_.find(name);
        return found == names_.end() ? nullptr : found->second.get();
    }
    void change(Change made) {
        apply(made, names_);
        changes_.push_back(std::move(made));
    }
    static void apply(const Change& change, Names& names) {
        switch (change.kind) {
            case Change::kCreate:
                names[change.name] = change.data;
                break;
            case Change::kRename:
                if (const auto from = names.find(change.name); from != names.end()) {
                    names[change.to] = from->second;
                    names.erase(change.name);
                }
                break;
            case Change::kRemove:
                names.erase(change.name);
                break;
        }
    }
    static std::string as_on_disk(const Data& data) {
        std::string bytes = data.current;
        for (size_t i = 0; i < data.broken.size() && i < bytes.size(); ++i)
            if (data.broken[i] == '\1') bytes[i] = '\0';
        return bytes;
    }
    // Of what was not synced nothing, all, a beginning, or some sectors of it.
    static std::string surviving(const Data& data, Random& rng) {
        const std::string whole = as_on_disk(data);
        const size_t from = std::min({data.dirty_from, data.durable.size(), whole.size()});
        switch (below(rng, 4)) {
            case 0:
                return data.durable;
            case 1:
                return whole;
            case 2:
                return whole.substr(0, from + below(rng, whole.size() - from + 1));
            default:
                break;
        }
        constexpr size_t kSector = 64;  // small as the records of the tests
        std::string torn = whole;
        for (size_t i = from; i < torn.size();) {
            const size_t end = std::min(torn.size(), (i / kSector + 1) * kSector);
            if (one_in(rng, 2))
                for (size_t k = i; k < end; ++k) torn[k] = one_in(rng, 8) ? '\x55' : '\0';
            i = end;
        }
        return torn;
    }

    Names names_;
    Names durable_names_;
    std::vector<Change> changes_;
};

}  // namespace pganalytics::ship
