// Rows in the form of COPY ... (FORMAT binary), without its header and trailer: a 16-bit count of
// fields, then for each a 32-bit length (-1: null) and the bytes that the type's receive function
// takes, all big-endian. Pure. Runs in `pganalytics serve`; the hub worker gives the bytes to COPY.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string_view>

#include "pganalytics/core/time_text.hpp"

namespace pganalytics::serve {

// Appends to a buffer of its own; throws std::bad_alloc only. For each row: begin_row(), then one
// call for each field.
class CopyEncoder {
  public:
    void begin_row(uint16_t fields) {
        room(2);
        put16(fields);
    }
    void null() {
        room(4);
        put32(0xffffffffU);
    }
    void boolean(bool value) {
        room(5);
        put32(1);
        data_[size_++] = value ? '\1' : '\0';
    }
    void int64(int64_t value) {
        room(12);
        put32(8);
        put64(static_cast<uint64_t>(value));
    }
    void float64(double value) { int64(std::bit_cast<int64_t>(value)); }
    // Microseconds since 1970.
    void timestamp(int64_t time) { int64(time - kPostgresEpoch); }
    void lsn(uint64_t value) { int64(static_cast<int64_t>(value)); }
    void oid(uint32_t value) {
        room(8);
        put32(4);
        put32(value);
    }
    // text, and the 16 bytes of a uuid
    void bytes(std::string_view value) {
        room(4 + value.size());
        put32(static_cast<uint32_t>(value.size()));
        put(value);
    }
    // JSON text, for a jsonb column: one byte of version in front.
    void jsonb(std::string_view json) {
        room(5 + json.size());
        put32(static_cast<uint32_t>(json.size() + 1));
        data_[size_++] = '\1';
        put(json);
    }

    std::string_view rows() const { return {data_.get(), size_}; }
    size_t size() const { return size_; }
    // Forgets the rows, keeps the memory.
    void clear() { size_ = 0; }
    // Cuts back to an earlier size(): the last row is taken back.
    void cut(size_t size) { size_ = size; }

  private:
    void room(size_t bytes) {
        if (capacity_ - size_ < bytes) grow(bytes);
    }
    void grow(size_t bytes);
    void put(std::string_view value) {
        if (!value.empty()) std::memcpy(data_.get() + size_, value.data(), value.size());
        size_ += value.size();
    }
    void put16(uint16_t value) {
        static_assert(std::endian::native == std::endian::little);
        value = __builtin_bswap16(value);
        std::memcpy(data_.get() + size_, &value, sizeof value);
        size_ += sizeof value;
    }
    void put32(uint32_t value) {
        value = __builtin_bswap32(value);
        std::memcpy(data_.get() + size_, &value, sizeof value);
        size_ += sizeof value;
    }
    void put64(uint64_t value) {
        value = __builtin_bswap64(value);
        std::memcpy(data_.get() + size_, &value, sizeof value);
        size_ += sizeof value;
    }

    std::unique_ptr<char[]> data_;
    size_t size_ = 0;
    size_t capacity_ = 0;
};

}  // namespace pganalytics::serve
