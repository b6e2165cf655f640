// A push's JSON into typed rows (see the header). Pure. The one file that has RapidJSON and the
// push's state machine together.
#include "pganalytics/serve/push_decoder.hpp"

#include <memory>
#include <utility>

#include "pganalytics/serve/push_sink.hpp"
#include "pganalytics/serve/strict_json.hpp"

namespace pganalytics::serve {

std::variant<Push, JsonProblem> decode_push(std::string body, const PushTargets& targets) {
    Push push;
    push.body = std::move(body);
    PushSink sink(push, targets);
    if (std::optional<JsonProblem> problem = parse_strict_json(push.body, sink)) {
        problem->place = sink.place();
        return *std::move(problem);
    }
    if (const char* reason = sink.finish()) return JsonProblem{push.body.size(), reason, {}};
    return push;
}

}  // namespace pganalytics::serve
