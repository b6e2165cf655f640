// Statements of the hub through SPI: fixed text, typed arguments, plans kept for the process's life
// (PostgreSQL makes them anew when a table under them changes). Runs in the hub worker and in the
// hub's SQL functions; everything here calls PostgreSQL and belongs inside try_postgres, between
// SPI_connect and SPI_finish, with plain data on the stack.
#pragma once

#include "pganalytics/core/digest.hpp"
#include "pganalytics/core/uuid.hpp"
#include "pganalytics/pg/postgres.hpp"

namespace pganalytics::pg {

// A static object each; `text` takes $1, $2 ... of the types of the arguments first given.
struct Statement {
    const char* text;
    SPIPlanPtr plan = nullptr;
};

// Arguments by position. Values are copied where they are not plain; texts that are not valid UTF-8
// (they come from the front) raise ERROR.
class Arguments {
  public:
    void text(std::string_view value);
    void bytes(std::string_view value);
    void bytes(const Sha256& value);
    void uuid(const Uuid& value);
    void integer(int64_t value);   // bigint; pass counts through clamp()
    void integer4(int32_t value);  // integer
    void boolean(bool value);
    void real(double value);     // double precision
    void time(int64_t unix_us);  // timestamptz
    void oid(Oid value);
    void null(Oid type);
    void datum(Oid type, Datum value);
    static int64_t clamp(uint64_t value) {
        return static_cast<int64_t>(std::min<uint64_t>(value, INT64_MAX));
    }

    int count() const { return count_; }
    Oid* types() { return types_; }
    Datum* values() { return values_; }
    const char* nulls() const { return nulls_; }

  private:
    static constexpr int kLimit = 24;
    void add(Oid type, Datum value, bool is_null = false);
    Oid types_[kLimit];
    Datum values_[kLimit];
    char nulls_[kLimit];
    int count_ = 0;
};

// Rows affected or returned (then in SPI_tuptable until the next statement). An SPI failure raises
// ERROR.
uint64_t run_statement(Statement& statement, Arguments& arguments);
uint64_t run_statement(Statement& statement);
// Text made for this one time, without arguments: DDL. May be several statements.
void run_sql(const char* sql);

// Fields of SPI_tuptable, from 0. Views live until SPI_finish.
bool field_is_null(uint64_t row, int column);
std::string_view field_text(uint64_t row, int column);   // text; empty for null
std::string_view field_bytes(uint64_t row, int column);  // bytea; empty for null
Uuid field_uuid(uint64_t row, int column);               // zero for null
Sha256 field_sha256(uint64_t row, int column);           // bytea of 32 bytes, else zero
int64_t field_integer(uint64_t row, int column);         // bigint, integer; 0 for null
bool field_boolean(uint64_t row, int column);            // false for null
int64_t field_time(uint64_t row, int column);            // timestamptz; 0 for null

int64_t to_unix_us(TimestampTz time);
TimestampTz from_unix_us(int64_t time);

}  // namespace pganalytics::pg
