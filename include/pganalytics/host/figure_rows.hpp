// Figures as values of a row.
#pragma once

#include <span>

#include "pganalytics/core/row_format.hpp"
#include "pganalytics/host/proc_text.hpp"

namespace pganalytics::host {

inline void put(RowBuilder& out, const Figure& figure) {
    if (figure) {
        out.integer(*figure);
    } else {
        out.null();
    }
}

inline void put(RowBuilder& out, std::span<const Figure> figures) {
    for (const Figure& figure : figures) put(out, figure);
}

}  // namespace pganalytics::host
