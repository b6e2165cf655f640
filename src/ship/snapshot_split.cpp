// Halves of a snapshot (see the header). Runs in `pganalytics ship`.
#include "pganalytics/ship/snapshot_split.hpp"

#include <algorithm>
#include <charconv>
#include <new>
#include <span>
#include <string>
#include <utility>

#include "pganalytics/core/catalog.hpp"
#include "pganalytics/core/uuid.hpp"
#include "pganalytics/net/gzip.hpp"
#include "pganalytics/net/sha256.hpp"

namespace pganalytics::ship {

namespace {

// Twice the largest slice.
constexpr size_t kMostJson = size_t{16} << 20;
constexpr int kWayShift = 32;
constexpr uint64_t kLastWay = uint64_t{1} << 30;
constexpr int kDeepest = 64;

// Reads what the SnapshotWriter writes: no spaces, names without escapes. Anything else ends it.
class Scanner {
  public:
    explicit Scanner(std::string_view text) : text_(text) {}

    bool ok() const { return ok_; }
    bool next_is(char c) const { return ok_ && at_ < text_.size() && text_[at_] == c; }
    // Takes it where it is there.
    bool take(char c) {
        if (!next_is(c)) return false;
        ++at_;
        return true;
    }
    void expect(char c) { ok_ = take(c); }
    std::string_view string() {
        const size_t begin = at_;
        expect('"');
        while (ok_ && at_ < text_.size() && text_[at_] != '"') at_ += text_[at_] == '\\' ? 2 : 1;
        expect('"');
        return ok_ ? text_.substr(begin + 1, at_ - begin - 2) : std::string_view();
    }
    // One value of any kind, as it stands there.
    std::string_view value() {
        const size_t begin = at_;
        int depth = 0;
        do {
            if (at_ >= text_.size() || depth > kDeepest) ok_ = false;
            if (!ok_) return {};
            const char c = text_[at_];
            if (c == '"') {
                string();
            } else if (c == '{' || c == '[') {
                ++depth, ++at_;
            } else if (c == '}' || c == ']') {
                --depth, ++at_;
            } else {
                ++at_;
            }
        } while (ok_ && (depth > 0 || !at_end_of_value()));
        return ok_ ? text_.substr(begin, at_ - begin) : std::string_view();
    }

  private:
    bool at_end_of_value() const {
        return at_ >= text_.size() || text_[at_] == ',' || text_[at_] == '}' || text_[at_] == ']';
    }

    std::string_view text_;
    size_t at_ = 0;
    bool ok_ = true;
};

struct Member {
    std::string_view name;
    std::string_view value;
};

std::optional<std::vector<Member>> members_of(std::string_view object) {
    std::vector<Member> members;
    Scanner scan(object);
    scan.expect('{');
    while (scan.ok() && !scan.take('}')) {
        if (!members.empty()) scan.expect(',');
        Member member;
        member.name = scan.string();
        scan.expect(':');
        member.value = scan.value();
        members.push_back(member);
    }
    if (!scan.ok()) return std::nullopt;
    return members;
}

std::optional<std::vector<std::string_view>> elements_of(std::string_view array) {
    std::vector<std::string_view> elements;
    Scanner scan(array);
    scan.expect('[');
    while (scan.ok() && !scan.take(']')) {
        if (!elements.empty()) scan.expect(',');
        elements.push_back(scan.value());
    }
    if (!scan.ok()) return std::nullopt;
    return elements;
}

const Member* find(std::span<const Member> members, std::string_view name) {
    const auto found = std::find_if(members.begin(), members.end(),
                                    [&](const Member& one) { return one.name == name; });
    return found == members.end() ? nullptr : &*found;
}

std::string_view unquoted(const Member* member) {
    return member != nullptr && member->value.size() >= 2 && member->value.front() == '"'
               ? member->value.substr(1, member->value.size() - 2)
               : std::string_view();
}

template <class Number>
Number number_of(const Member* member) {
    Number number = 0;
    if (member != nullptr)
        std::from_chars(member->value.data(), member->value.data() + member->value.size(), number);
    return number;
}

// An entry of "metrics": what stands before its rowsets, and these.
struct Entry {
    std::vector<Member> head;
    std::vector<Member> rowsets;
};

struct Envelope {
    std::vector<Member> members;
    std::vector<Entry> entries;
    size_t rowsets = 0;
};

std::optional<Envelope> read_envelope(std::string_view json) {
    while (json.ends_with('\n')) json.remove_suffix(1);
    std::optional<std::vector<Member>> members = members_of(json);
    if (!members) return std::nullopt;
    const Member* metrics = find(*members, "metrics");
    if (metrics == nullptr) return std::nullopt;
    const auto elements = elements_of(metrics->value);
    if (!elements) return std::nullopt;
    Envelope envelope;
    for (const std::string_view element : *elements) {
        const auto all = members_of(element);
        if (!all) return std::nullopt;
        Entry entry;
        for (const Member& one : *all)
            (one.value.starts_with('{') ? entry.rowsets : entry.head).push_back(one);
        envelope.rowsets += entry.rowsets.size();
        envelope.entries.push_back(std::move(entry));
    }
    envelope.members = *std::move(members);
    return envelope;
}

uint64_t rows_of(const Member& rowset) {
    const auto members = members_of(rowset.value);
    const Member* columns = members ? find(*members, "columns") : nullptr;
    const auto arrays = columns != nullptr ? members_of(columns->value) : std::nullopt;
    if (!arrays || arrays->empty()) return 0;
    uint64_t rows = 0;
    Scanner scan(arrays->front().value);
    scan.expect('[');
    while (scan.ok() && !scan.take(']')) {
        if (rows++ > 0) scan.expect(',');
        scan.value();
    }
    return rows;
}

Uuid half_id(const Uuid& whole, char which) {
    std::string text = "pganalytics half ";
    text.push_back(which);
    text.append(net::as_text(whole));
    const Sha256 digest = net::sha256(text);
    Uuid id{};
    std::copy_n(digest.begin(), id.size(), id.begin());
    id[6] = static_cast<uint8_t>((id[6] & 0x0f) | 0x80);  // version 8: made of what it likes
    id[8] = static_cast<uint8_t>((id[8] & 0x3f) | 0x80);
    return id;
}

// Rowsets number `from` to `to` of the whole's; what else they are is copied as it stands. Goes
// piece by piece through hash and gzip, so that beside the whole no large text is held.
class Half {
  public:
    Half(const Snapshot& whole, const Envelope& envelope, size_t from, size_t to)
        : whole_(whole), envelope_(envelope), from_(from), to_(to) {}
    Snapshot make(int which);

  private:
    std::span<const Member> own_rowsets(const Entry& entry, size_t first) const;
    size_t count_entries() const;
    void write(std::string_view piece);
    void write_member(std::string_view name, std::string_view value);
    void write_changed(const Member& member);
    void write_entries();
    void take_groups(const Entry& entry, const Member& rowset);

    const Snapshot& whole_;
    const Envelope& envelope_;
    const size_t from_;
    const size_t to_;
    Snapshot half_;
    net::Sha256Hasher hasher_;
    net::GzipWriter gzip_{half_.body, net::Packing::kFast};
    bool first_member_ = true;
};

// Those of an entry whose first rowset has this number.
std::span<const Member> Half::own_rowsets(const Entry& entry, size_t first) const {
    const size_t end = first + entry.rowsets.size();
    const size_t from = std::clamp(from_, first, end) - first;
    const size_t to = std::clamp(to_, first, end) - first;
    return std::span(entry.rowsets).subspan(from, to - from);
}

size_t Half::count_entries() const {
    size_t count = 0;
    size_t first = 0;
    for (const Entry& entry : envelope_.entries) {
        count += own_rowsets(entry, first).empty() ? 0 : 1;
        first += entry.rowsets.size();
    }
    return count;
}

void Half::write(std::string_view piece) {
    hasher_.update(piece);
    gzip_.write(piece);
    half_.bytes_json += piece.size();
}

void Half::write_member(std::string_view name, std::string_view value) {
    write(std::exchange(first_member_, false) ? "\"" : ",\"");
    write(name);
    write("\":");
    write(value);
}

void Half::take_groups(const Entry& entry, const Member& rowset) {
    half_.rows += rows_of(rowset);
    const Rowset* known = find_rowset(unquoted(find(entry.head, "type")), rowset.name);
    if (known == nullptr) return;
    const auto datid = number_of<uint32_t>(find(entry.head, "datid"));
    for (const RowsetGroup& group : whole_.groups)
        if (group.rowset == rowset_number(*known) && group.datid == datid)
            half_.groups.push_back(group);
}

void Half::write_entries() {
    size_t first = 0;
    bool first_entry = true;
    for (const Entry& entry : envelope_.entries) {
        const std::span<const Member> rowsets = own_rowsets(entry, first);
        first += entry.rowsets.size();
        if (rowsets.empty()) continue;
        write(std::exchange(first_entry, false) ? "{" : ",{");
        first_member_ = true;
        for (const Member& one : entry.head) write_member(one.name, one.value);
        for (const Member& one : rowsets) {
            write_member(one.name, one.value);
            take_groups(entry, one);
        }
        write("}");
    }
}

void Half::write_changed(const Member& member) {
    if (member.name == "metrics") {
        write_member(member.name, "[");
        write_entries();
        write("]");
        first_member_ = false;
    } else if (member.name == "metrics_count") {
        write_member(member.name, std::to_string(count_entries()));
    } else if (member.name == "snapshot_id") {
        write_member(member.name, "\"" + uuid_text(half_.snapshot_id) + "\"");
    } else if (member.name == "sequence") {
        write_member(member.name, std::to_string(half_.sequence));
    } else if (member.name == "parts" && member.value != "1") {
        write_member(member.name, std::to_string(number_of<uint64_t>(&member) + 1));
    } else {
        write_member(member.name, member.value);
    }
}

Snapshot Half::make(int which) {
    const uint64_t way = std::max<uint64_t>(whole_.sequence >> kWayShift, 1);
    const uint64_t number = whole_.sequence & ((uint64_t{1} << kWayShift) - 1);
    half_.snapshot_id = half_id(whole_.snapshot_id, static_cast<char>('0' + which));
    half_.collector_id = whole_.collector_id;
    half_.sequence = (way * 2 + static_cast<uint64_t>(which)) << kWayShift | number;
    half_.time = whole_.time;
    write("{");
    for (const Member& member : envelope_.members) write_changed(member);
    write("}\n");
    gzip_.finish();
    half_.digest = hasher_.finish();
    half_.body.shrink_to_fit();
    return std::move(half_);
}

std::optional<SnapshotHalves> split(const Snapshot& whole) {
    const net::Inflated json = net::inflate_gzip(whole.body, kMostJson);
    if (!json) return std::nullopt;
    const std::optional<Envelope> envelope = read_envelope(json.bytes);
    if (!envelope || envelope->rowsets < 2) return std::nullopt;
    const size_t middle = envelope->rowsets / 2;
    SnapshotHalves halves;
    halves[0] = Half(whole, *envelope, 0, middle).make(0);
    halves[1] = Half(whole, *envelope, middle, envelope->rowsets).make(1);
    return halves;
}

}  // namespace

std::optional<SnapshotHalves> split_snapshot(const Snapshot& whole) {
    if ((whole.sequence >> kWayShift) >= kLastWay) return std::nullopt;
    // Where memory is that short it is set aside whole, which needs none; a program that ended here
    // would come back to it for ever.
    try {
        return split(whole);
    } catch (const std::bad_alloc&) {
        return std::nullopt;
    }
}

}  // namespace pganalytics::ship
