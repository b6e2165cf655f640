// Bodies of pushes, from JSON to what the hub worker would give to COPY: what the front lets in is
// typed rows of known tables, and the worker's own look at them finds nothing to refuse.
#include <algorithm>
#include <memory>

#include "hub_tables.hpp"
#include "pganalytics/core/utf8.hpp"
#include "pganalytics/serve/push_decoder.hpp"
#include "pganalytics/serve/push_frames.hpp"
#include "pganalytics/serve/strict_json.hpp"

namespace pganalytics::serve {

namespace {

struct AnyJson {
    JsonReason start_object(const char*) { return nullptr; }
    JsonReason end_object() { return nullptr; }
    JsonReason start_array() { return nullptr; }
    JsonReason end_array() { return nullptr; }
    JsonReason key(std::string_view) { return nullptr; }
    JsonReason string(std::string_view) { return nullptr; }
    JsonReason number(std::string_view) { return nullptr; }
    JsonReason boolean(bool) { return nullptr; }
    JsonReason null() { return nullptr; }
};

bool is_json(std::string_view text) {
    std::string copy(text);
    AnyJson any;
    return !parse_strict_json(copy, any);
}

const std::shared_ptr<const PushTargets>& targets() {
    static const auto made =
        std::make_shared<const PushTargets>(*PushTargets::make(announced_tables()));
    return made;
}

// Known names and numbers only: nothing of the body.
void check_problem(const JsonProblem& problem, size_t size) {
    FUZZ_CHECK(problem.offset <= size && !problem.reason.empty());
    FUZZ_CHECK(problem.place.size() < 200);
    for (const char c : problem.place) {
        FUZZ_CHECK((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                   std::string_view("_.[]").find(c) != std::string_view::npos);
    }
}

void check_field(ColumnType type, std::string_view bytes) {
    switch (type) {
        case ColumnType::kBool:
            FUZZ_CHECK(bytes.size() == 1 && (bytes[0] & ~1) == 0);
            break;
        case ColumnType::kOid:
            FUZZ_CHECK(bytes.size() == 4);
            break;
        case ColumnType::kUuid:
            FUZZ_CHECK(bytes.size() == 16);
            break;
        case ColumnType::kText:
            FUZZ_CHECK(bytes.size() <= kJsonStringBytes && is_utf8(bytes));
            break;
        case ColumnType::kJson:
            FUZZ_CHECK(bytes.size() > 1 && bytes[0] == '\1' && is_json(bytes.substr(1)));
            break;
        default:
            FUZZ_CHECK(bytes.size() == 8);
    }
}

void check_rows(const PushRows& rows) {
    const Rowset& rowset = catalog()[rows.rowset];
    const std::vector<std::string>& names = announced_tables().targets[rows.rowset].columns;
    std::string_view left = rows.rows;
    CopyFields fields;
    for (uint32_t row = 0; row < rows.count; ++row) {
        FUZZ_CHECK(read_copy_row(left, fields) && fields.size() == names.size());
        for (const Column* column : all_columns(rowset)) {
            const auto place = std::find(names.begin(), names.end(), column->name) - names.begin();
            const auto& field = fields[static_cast<size_t>(place)];
            if (field) check_field(column->type, *field);
        }
    }
    FUZZ_CHECK(left.empty());
}

// Both ends: the front makes the frames, the hub worker takes them.
void pass_on(Push push) {
    FUZZ_CHECK(push.entries.size() <= push.body.size());
    FUZZ_CHECK(is_json(push.unknown.json()));
    PushFrames frames(std::move(push), targets(), Uuid{7}, 9, row_window(kFuzzNow, 30 * 86'400));
    if (frames.refusal() != nullptr) return;
    const FuzzRules rules;
    pg::HubPushes hub(rules);
    PushBegin begin;
    begin.number = 9;
    begin.collector_id = Uuid{7};
    begin.time = kFuzzNow;
    FUZZ_CHECK(hub.begin(begin));
    const size_t most = frames.bytes_at_most();
    size_t bytes = 0;
    while (const std::optional<std::string> made = frames.next()) {
        bytes += made->size();
        FrameSplitter splitter;
        splitter.feed(*made);
        const std::optional<Frame> frame = splitter.next();
        FUZZ_CHECK(frame && frame->type == FrameType::kPushRows && splitter.buffered() == 0);
        std::optional<PushRows> rows = decode<PushRows>(frame->payload);
        FUZZ_CHECK(rows.has_value() && rows->count > 0);
        check_rows(*rows);
        FUZZ_CHECK(hub.rows(*std::move(rows)));
    }
    FUZZ_CHECK(bytes <= most);
    FUZZ_CHECK(hub.end({9, frames.rows()}));
    const std::vector<pg::Push> ready = hub.take_ready();
    FUZZ_CHECK(ready.size() == 1 && ready[0].refusal.empty() && !ready[0].again);
    FUZZ_CHECK(ready[0].rows == frames.rows());
    check_ready(ready[0]);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const std::string body(fuzz_text(data, size));
    auto decoded = decode_push(body, *targets());
    if (const auto* problem = std::get_if<JsonProblem>(&decoded)) {
        check_problem(*problem, size);
        return 0;
    }
    FUZZ_CHECK(is_json(body));
    auto& push = std::get<Push>(decoded);
    FUZZ_CHECK(push.envelope.collector_id && push.envelope.timestamp);
    FUZZ_CHECK(push.envelope.part >= 1 && push.envelope.part <= push.envelope.parts);
    pass_on(std::move(push));
    return 0;
}

}  // namespace pganalytics::serve
