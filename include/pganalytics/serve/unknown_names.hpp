// Types, rowsets and columns of pushes that the hub does not know: counted, reported back, never
// stored. Names are a sender's and so bounded in number and length, and only those of plain letters
// are repeated. Pure. Runs in `pganalytics serve`.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "pganalytics/serve/limits.hpp"

namespace pganalytics::serve {

class UnknownNames {
  public:
    void add_type(std::string_view type) { add(types_, type); }
    // `name` is "type.rowset"
    void add_rowset(std::string_view name) { add(rowsets_, name); }
    // `name` is "type.rowset.column"
    void add_column(std::string_view name) { add(columns_, name); }

    bool empty() const { return names_ == 0 && others_ == 0; }
    // {"types": {"pg_new": 1}, "columns": {"pg_stats.tables.new": 20}, "others": 3}
    std::string json() const;

  private:
    using Counts = std::map<std::string, uint64_t, std::less<>>;
    void add(Counts& counts, std::string_view name);

    Counts types_;
    Counts rowsets_;
    Counts columns_;
    size_t names_ = 0;
    uint64_t others_ = 0;
};

}  // namespace pganalytics::serve
