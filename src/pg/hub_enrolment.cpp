// Enrolment of collectors (see the header). Runs in the hub worker.
#include "pganalytics/pg/hub_enrolment.hpp"

#include "pganalytics/pg/hub_enrolment_store.hpp"
#include "pganalytics/pg/log.hpp"

namespace pganalytics::pg {

namespace {

constexpr int32_t kLifetimeSeconds = 30 * 86400;

// One text for every cause: it tells a guesser nothing.
RegisterResult refused(uint64_t number) {
    RegisterResult result;
    result.number = number;
    result.status = 401;
    result.message = "enrolment token not accepted";
    return result;
}

bool random_uuid(Uuid& uuid) {
    if (!pg_strong_random(uuid.data(), uuid.size())) return false;
    uuid[6] = static_cast<uint8_t>((uuid[6] & 0x0f) | 0x40);
    uuid[8] = static_cast<uint8_t>((uuid[8] & 0x3f) | 0x80);
    return true;
}

RegisterResult accepted(uint64_t number, TokenAnswer answer, const std::string& ca_certificate) {
    RegisterResult result;
    result.number = number;
    result.status = 200;
    result.collector_id = answer.collector_id;
    result.generation = answer.generation;
    result.certificate = std::move(answer.certificate);
    result.ca_certificate = ca_certificate;
    result.expires_at = answer.expires_at;
    return result;
}

}  // namespace

RegisterResult HubEnrolment::failed(uint64_t number, std::string_view why) const {
    log_limited(LOG, "enrolment", "a server could not be enrolled", why);
    RegisterResult result;
    result.number = number;
    result.status = 503;
    result.message = "the hub cannot enrol now";
    return result;
}

std::optional<RegisterResult> HubEnrolment::ask(const Register& request) {
    TokenAnswer answer;
    FlatError error;
    if (!check_token(request, answer, error)) return failed(request.number, error.message);
    if (answer.state == TokenState::kRefused) {
        log_limited(LOG, "enrolment refused", "an enrolment was refused", {},
                    "See table pganalytics.audit of the hub.");
        return refused(request.number);
    }
    if (answer.state == TokenState::kUsedByThisKey)
        return accepted(request.number, std::move(answer), ca_certificate_);
    if (answer.collector_id == Uuid{} && !random_uuid(answer.collector_id))
        return failed(request.number, "no random bytes");
    KeysSign order;
    order.files = files_;
    order.collector_id = answer.collector_id;
    order.public_key = request.public_key;
    order.lifetime_s = kLifetimeSeconds;
    const uint64_t question = keys_.ask(order);
    if (question == 0) return failed(request.number, "too many enrolments at once");
    pending_[question] = {request, answer.collector_id};
    return std::nullopt;
}

std::optional<RegisterResult> HubEnrolment::take_certificate(const HubKeys::Answer& answer) {
    const auto found = pending_.find(answer.number);
    if (found == pending_.end()) return std::nullopt;
    const Pending pending = std::move(found->second);
    pending_.erase(found);
    if (const auto* why = std::get_if<std::string>(&answer.result))
        return failed(pending.request.number, *why);
    const auto* certificate = std::get_if<KeysSignResult>(&answer.result);
    if (certificate == nullptr) return failed(pending.request.number, "keys gave another answer");
    if (!certificate->error.empty()) return failed(pending.request.number, certificate->error);
    return finish(pending, *certificate);
}

RegisterResult HubEnrolment::finish(const Pending& pending, const KeysSignResult& certificate) {
    const uint64_t number = pending.request.number;
    TokenAnswer answer;
    FlatError error;
    if (!store_enrolment(pending.request, pending.collector_id, certificate, answer, error))
        return failed(number, error.message);
    if (answer.state == TokenState::kRefused) return refused(number);
    return accepted(number, std::move(answer), ca_certificate_);
}

}  // namespace pganalytics::pg
