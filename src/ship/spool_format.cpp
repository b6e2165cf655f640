// The spool's bytes (see the header). Runs in `pganalytics ship`.
#include "pganalytics/ship/spool_format.hpp"

#include "pganalytics/core/bytes.hpp"
#include "pganalytics/core/codec.hpp"
#include "pganalytics/core/crc32c.hpp"

namespace pganalytics::ship {

namespace {

constexpr std::string_view kMagic = "pgaspool";
constexpr std::string_view kPrefix = "v1-";
constexpr std::string_view kSegmentSuffix = ".spool";
constexpr std::string_view kAsideSuffix = ".aside";
constexpr size_t kDigits = 16;
constexpr uint32_t kMark = 0xc55a9e71;

}  // namespace

std::string spool_file_name(SpoolFileKind kind, uint64_t number) {
    std::string name(kPrefix);
    for (size_t i = kDigits; i-- > 0;) name.push_back("0123456789abcdef"[(number >> (4 * i)) & 15]);
    return name.append(kind == SpoolFileKind::kSegment ? kSegmentSuffix : kAsideSuffix);
}

std::optional<SpoolFileName> parse_spool_file_name(std::string_view name) {
    if (name.size() != kPrefix.size() + kDigits + kSegmentSuffix.size()) return std::nullopt;
    SpoolFileName parsed;
    for (const char c : name.substr(kPrefix.size(), kDigits)) {
        const size_t digit = std::string_view("0123456789abcdef").find(c);
        if (digit == std::string_view::npos) return std::nullopt;
        parsed.number = parsed.number << 4 | digit;
    }
    if (name.ends_with(kAsideSuffix)) parsed.kind = SpoolFileKind::kAside;
    if (name != spool_file_name(parsed.kind, parsed.number)) return std::nullopt;
    return parsed;
}

std::string encode_segment_header(const SegmentHeader& header) {
    const std::string payload = encode(header);
    ByteWriter out;
    out.raw(kMagic);
    out.u32(kSpoolVersion);
    out.u32(static_cast<uint32_t>(payload.size()));
    out.u32(crc32c(payload, crc32c(out.data())));
    out.raw(payload);
    return out.take();
}

std::optional<uint32_t> segment_version(std::string_view bytes) {
    ByteReader in(bytes);
    const std::string_view magic = in.raw(kMagic.size());
    const uint32_t version = in.u32();
    const uint32_t length = in.u32();
    const uint32_t checksum = in.u32();
    if (!in.ok() || magic != kMagic || length > kMostHeaderBytes) return std::nullopt;
    const std::string_view payload = in.raw(length);
    const uint32_t before = crc32c(bytes.substr(0, kMagic.size() + 8));
    if (!in.ok() || crc32c(payload, before) != checksum) return std::nullopt;
    return version;
}

std::optional<SegmentStart> decode_segment_header(std::string_view bytes) {
    if (segment_version(bytes) != kSpoolVersion) return std::nullopt;
    ByteReader in(bytes.substr(kMagic.size() + 4));
    const uint32_t length = in.u32();
    std::optional<SegmentHeader> header =
        decode<SegmentHeader>(bytes.substr(kSegmentPreambleBytes, length));
    if (!header || !header->state.losses.plausible()) return std::nullopt;
    return SegmentStart{*std::move(header), kSegmentPreambleBytes + length};
}

std::string encode_record(RecordType type, uint64_t number, uint32_t seed, std::string_view meta,
                          std::string_view body) {
    ByteWriter out;
    out.u32(kMark);
    out.u8(static_cast<uint8_t>(type));
    out.u8(0);
    out.u16(0);
    out.u32(static_cast<uint32_t>(meta.size()));
    out.u32(static_cast<uint32_t>(body.size()));
    out.u64(number);
    out.u32(crc32c(meta, seed));
    out.u32(crc32c(body, seed));
    out.u32(crc32c(out.data(), seed));
    out.raw(meta);
    return out.take();
}

std::optional<RecordHeader> decode_record_header(std::string_view bytes, uint32_t seed) {
    ByteReader in(bytes.substr(0, kRecordHeaderBytes));
    RecordHeader header;
    const uint32_t mark = in.u32();
    header.type = static_cast<RecordType>(in.u8());
    const bool zeroes = in.u8() == 0 && in.u16() == 0;
    header.meta_bytes = in.u32();
    header.body_bytes = in.u32();
    header.number = in.u64();
    header.meta_checksum = in.u32();
    header.body_checksum = in.u32();
    const uint32_t checksum = in.u32();
    if (!in.ok() || mark != kMark || !zeroes || header.meta_bytes > kMostMetaBytes ||
        header.body_bytes > kMostBodyBytes ||
        crc32c(bytes.substr(0, kRecordHeaderBytes - 4), seed) != checksum)
        return std::nullopt;
    return header;
}

size_t find_record_mark(std::string_view bytes, size_t from) {
    ByteWriter mark;
    mark.u32(kMark);
    return bytes.find(mark.data(), from);
}

SnapshotMeta meta_of(const Snapshot& snapshot, const Uuid& incarnation) {
    SnapshotMeta meta;
    meta.snapshot_id = snapshot.snapshot_id;
    meta.collector_id = snapshot.collector_id;
    meta.incarnation = incarnation;
    meta.sequence = snapshot.sequence;
    meta.digest = snapshot.digest;
    meta.bytes_json = snapshot.bytes_json;
    meta.rows = snapshot.rows;
    meta.time = snapshot.time;
    for (const RowsetGroup& group : snapshot.groups)
        meta.groups.push_back({group.rowset, group.datid, group.own});
    return meta;
}

Snapshot snapshot_of(const SnapshotMeta& meta, const Uuid& incarnation) {
    Snapshot snapshot;
    snapshot.snapshot_id = meta.snapshot_id;
    snapshot.collector_id = meta.collector_id;
    snapshot.sequence = meta.sequence;
    snapshot.digest = meta.digest;
    snapshot.bytes_json = meta.bytes_json;
    snapshot.rows = meta.rows;
    snapshot.time = meta.time;
    if (meta.incarnation != incarnation) return snapshot;
    for (const SnapshotMeta::Group& group : meta.groups)
        snapshot.groups.push_back({group.rowset, group.datid, group.own});
    return snapshot;
}

}  // namespace pganalytics::ship
