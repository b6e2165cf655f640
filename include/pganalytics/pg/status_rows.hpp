// Rows of pganalytics_status(). Run in sessions; may raise ERROR, hold plain data only.
#pragma once

#include "pganalytics/pg/result_rows.hpp"

namespace pganalytics::pg {

// component, name, value, unit, note; null pointers are NULL.
void put_status(ResultRows* result, const char* component, const char* name, const char* value,
                const char* unit = nullptr, const char* note = nullptr);
void put_status_number(ResultRows* result, const char* component, const char* name, uint64_t value,
                       const char* unit = nullptr, const char* note = nullptr);
// 0: NULL.
void put_status_time(ResultRows* result, const char* component, const char* name, TimestampTz time,
                     const char* note = nullptr);

// The hub's rows; none where pganalytics.hub is off. (status_hub.cpp)
void put_hub_status(ResultRows* result);

}  // namespace pganalytics::pg
