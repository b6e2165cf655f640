// Messages to bytes and back. A message lists its fields once:
//
//     struct Heartbeat {
//         static constexpr FrameType kType = FrameType::kHeartbeat;
//         uint64_t number = 0;
//         static void fields(auto& self, auto& codec) { codec(self.number); }
//     };
//
// Decoding takes hostile bytes: it never reads past the end, never makes a container larger than
// the bytes could fill, and refuses what is left over.
#pragma once

#include <array>
#include <concepts>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "pganalytics/core/bytes.hpp"

namespace pganalytics {

class Encoder {
  public:
    explicit Encoder(ByteWriter& out) : out_(out) {}
    template <class... Fields>
    void operator()(const Fields&... fields) {
        (put(fields), ...);
    }

  private:
    template <class T>
    void put(const T& field) {
        if constexpr (std::is_enum_v<T>) {
            out_.varint(static_cast<uint64_t>(field));
        } else if constexpr (std::same_as<T, bool>) {
            out_.u8(field ? 1 : 0);
        } else if constexpr (std::signed_integral<T>) {
            out_.varint(zigzag(field));
        } else if constexpr (std::unsigned_integral<T>) {
            out_.varint(field);
        } else if constexpr (std::same_as<T, double>) {
            out_.f64(field);
        } else {
            T::fields(field, *this);
        }
    }
    void put(const std::string& field) { out_.text(field); }
    template <size_t N>
    void put(const std::array<uint8_t, N>& field) {
        out_.raw({reinterpret_cast<const char*>(field.data()), N});
    }
    template <class T>
    void put(const std::optional<T>& field) {
        out_.u8(field.has_value() ? 1 : 0);
        if (field) put(*field);
    }
    template <class T>
    void put(const std::vector<T>& field) {
        out_.varint(field.size());
        for (const T& item : field) put(item);
    }
    ByteWriter& out_;
};

class Decoder {
  public:
    explicit Decoder(ByteReader& in) : in_(in) {}
    template <class... Fields>
    void operator()(Fields&... fields) {
        (get(fields), ...);
    }

  private:
    template <class T>
    void get(T& field) {
        if constexpr (std::is_enum_v<T>) {
            const uint64_t number = in_.varint();
            if (number > 0xff) in_.fail();
            field = static_cast<T>(number);
        } else if constexpr (std::same_as<T, bool>) {
            field = in_.u8() != 0;
        } else if constexpr (std::signed_integral<T>) {
            const int64_t number = unzigzag(in_.varint());
            field = static_cast<T>(number);
            if (field != number) in_.fail();
        } else if constexpr (std::unsigned_integral<T>) {
            const uint64_t number = in_.varint();
            field = static_cast<T>(number);
            if (field != number) in_.fail();
        } else if constexpr (std::same_as<T, double>) {
            field = in_.f64();
        } else {
            T::fields(field, *this);
        }
    }
    void get(std::string& field) { field = in_.text(); }
    template <size_t N>
    void get(std::array<uint8_t, N>& field) {
        const std::string_view bytes = in_.raw(N);
        if (bytes.size() == N) std::memcpy(field.data(), bytes.data(), N);
    }
    template <class T>
    void get(std::optional<T>& field) {
        if (in_.u8() != 0) get(field.emplace());
    }
    template <class T>
    void get(std::vector<T>& field) {
        const uint64_t count = in_.varint();
        // Each item takes a byte at least.
        if (count > in_.remaining()) return in_.fail();
        field.clear();
        for (uint64_t i = 0; i < count && in_.ok(); ++i) get(field.emplace_back());
    }
    ByteReader& in_;
};

template <class Message>
std::string encode(const Message& message) {
    ByteWriter out;
    Encoder encoder(out);
    Message::fields(message, encoder);
    return out.take();
}

// Empty where the bytes are not exactly one message.
template <class Message>
std::optional<Message> decode(std::string_view payload) {
    ByteReader in(payload);
    Decoder decoder(in);
    Message message;
    Message::fields(message, decoder);
    if (!in.done()) return std::nullopt;
    return message;
}

}  // namespace pganalytics
