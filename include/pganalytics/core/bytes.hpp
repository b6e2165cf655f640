// Little-endian bytes in and out: the one encoding of frames, row chunks and answers.
// The varint and zigzag functions work on caller's memory and neither allocate nor throw, so that
// code that runs between PostgreSQL calls can use them (conventions, "the seam").
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace pganalytics {

inline constexpr size_t kMaxVarintBytes = 10;

constexpr uint64_t zigzag(int64_t value) {
    return (static_cast<uint64_t>(value) << 1) ^ static_cast<uint64_t>(value >> 63);
}

constexpr int64_t unzigzag(uint64_t value) {
    return static_cast<int64_t>((value >> 1) ^ (~(value & 1) + 1));
}

// LEB128. Writes at most kMaxVarintBytes to `out`; returns the count.
constexpr size_t put_varint(uint8_t* out, uint64_t value) {
    size_t count = 0;
    while (value >= 0x80) {
        out[count++] = static_cast<uint8_t>(value | 0x80);
        value >>= 7;
    }
    out[count++] = static_cast<uint8_t>(value);
    return count;
}

// Appends to a string it owns. Throws std::bad_alloc only.
class ByteWriter {
  public:
    void reserve(size_t bytes) { data_.reserve(bytes); }
    void u8(uint8_t value) { data_.push_back(static_cast<char>(value)); }
    void u16(uint16_t value) { fixed(value); }
    void u32(uint32_t value) { fixed(value); }
    void u64(uint64_t value) { fixed(value); }
    void f64(double value) { fixed(std::bit_cast<uint64_t>(value)); }
    void varint(uint64_t value) {
        uint8_t bytes[kMaxVarintBytes];
        raw({reinterpret_cast<const char*>(bytes), put_varint(bytes, value)});
    }
    void raw(std::string_view bytes) { data_.append(bytes); }
    // Length as a varint, then the bytes.
    void text(std::string_view bytes) {
        varint(bytes.size());
        raw(bytes);
    }
    // Overwrites four bytes written before.
    void patch_u32(size_t at, uint32_t value) {
        std::memcpy(data_.data() + at, &value, sizeof value);
    }

    size_t size() const { return data_.size(); }
    const std::string& data() const { return data_; }
    std::string take() { return std::move(data_); }
    void clear() { data_.clear(); }

  private:
    template <class T>
    void fixed(T value) {
        static_assert(std::endian::native == std::endian::little);
        char bytes[sizeof value];
        std::memcpy(bytes, &value, sizeof value);
        data_.append(bytes, sizeof value);
    }
    std::string data_;
};

// Reads bytes that may be hostile. After the first read past the end, or of a malformed varint, it
// is failed for good: every read answers zero or empty and ok() is false. Views live as long as the
// bytes do.
class ByteReader {
  public:
    explicit ByteReader(std::string_view data) : data_(data) {}

    uint8_t u8() {
        if (data_.empty()) {
            fail();
            return 0;
        }
        const auto byte = static_cast<uint8_t>(data_.front());
        data_.remove_prefix(1);
        return byte;
    }
    uint16_t u16() { return fixed<uint16_t>(); }
    uint32_t u32() { return fixed<uint32_t>(); }
    uint64_t u64() { return fixed<uint64_t>(); }
    double f64() { return std::bit_cast<double>(fixed<uint64_t>()); }
    uint64_t varint() {
        // Most are small.
        if (!data_.empty() && static_cast<uint8_t>(data_.front()) < 0x80) {
            const auto byte = static_cast<uint8_t>(data_.front());
            data_.remove_prefix(1);
            return byte;
        }
        uint64_t value = 0;
        for (unsigned shift = 0; shift < 64; shift += 7) {
            const uint8_t byte = u8();
            if (!ok_) return 0;
            // The tenth byte holds one bit only.
            if (shift == 63 && byte > 1) break;
            value |= static_cast<uint64_t>(byte & 0x7f) << shift;
            if ((byte & 0x80) == 0) return value;
        }
        fail();
        return 0;
    }
    std::string_view raw(size_t count) {
        if (!ok_ || count > data_.size()) {
            fail();
            return {};
        }
        const std::string_view bytes = data_.substr(0, count);
        data_.remove_prefix(count);
        return bytes;
    }
    std::string_view text() {
        const uint64_t count = varint();
        if (count > data_.size()) {
            fail();
            return {};
        }
        return raw(static_cast<size_t>(count));
    }

    void fail() {
        ok_ = false;
        data_ = {};
    }
    bool ok() const { return ok_; }
    size_t remaining() const { return data_.size(); }
    std::string_view rest() const { return data_; }
    bool done() const { return ok_ && data_.empty(); }

  private:
    template <class T>
    T fixed() {
        const std::string_view bytes = raw(sizeof(T));
        T value{};
        if (bytes.size() == sizeof(T)) std::memcpy(&value, bytes.data(), sizeof(T));
        return value;
    }
    std::string_view data_;
    bool ok_ = true;
};

}  // namespace pganalytics
