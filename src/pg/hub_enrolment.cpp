// Enrolment of collectors (see the header). Runs in the hub worker.
#include "pganalytics/pg/hub_enrolment.hpp"

#include "pganalytics/pg/hub_enrolment_store.hpp"
#include "pganalytics/pg/hub_renewal_store.hpp"
#include "pganalytics/pg/log.hpp"
#include "pganalytics/pg/settings.hpp"

namespace pganalytics::pg {

namespace {

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

// What a renewal comes to. Who is here has shown a certificate of ours, so it is told why.
RegisterResult renewed(const Renew& request, const RenewalAnswer& answer,
                       const std::string& ca_certificate) {
    RegisterResult result;
    result.number = request.number;
    switch (answer.state) {
        case RenewalState::kGood:
        case RenewalState::kDone:
            result.status = 200;
            result.collector_id = request.collector_id;
            result.generation = answer.generation;
            result.certificate = answer.certificate;
            result.ca_certificate = ca_certificate;
            result.expires_at = answer.expires_at;
            return result;
        case RenewalState::kSameKey:
            result.status = 400;
            result.message = "a new certificate needs a new key";
            return result;
        case RenewalState::kSuperseded:
            result.status = 409;
            result.message = "this server was enrolled again; only that certificate can be renewed";
            return result;
        case RenewalState::kTwoKeys:
            log_limited(WARNING, "two keys for one server",
                        "two servers hold the certificate of one", {},
                        "See component hub_worker of pganalytics_status(), and table "
                        "pganalytics.audit.");
            result.status = 409;
            result.message = "this certificate was renewed before, with another key";
            return result;
        case RenewalState::kRefused:
            break;
    }
    result.status = 401;
    return result;
}

}  // namespace

RegisterResult HubEnrolment::failed(uint64_t number, std::string_view why) const {
    log_limited(LOG, "enrolment", "a server could not be enrolled, or its certificate renewed",
                why);
    RegisterResult result;
    result.number = number;
    result.status = 503;
    result.message = "the hub cannot enrol now";
    return result;
}

bool HubEnrolment::order(const Uuid& collector_id, const std::string& public_key, Pending pending) {
    KeysSign order;
    order.files = files_;
    order.collector_id = collector_id;
    order.public_key = public_key;
    order.lifetime_s = settings().hub_certificate_life;
    const uint64_t question = keys_.ask(order);
    if (question == 0) return false;
    pending_.insert_or_assign(question, std::move(pending));
    return true;
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
    if (!order(answer.collector_id, request.public_key,
               PendingEnrolment{request, answer.collector_id}))
        return failed(request.number, "too many enrolments at once");
    return std::nullopt;
}

std::optional<RegisterResult> HubEnrolment::ask(const Renew& request) {
    RenewalAnswer answer;
    FlatError error;
    if (!check_renewal(request, answer, error)) return failed(request.number, error.message);
    if (answer.state != RenewalState::kGood) return renewed(request, answer, ca_certificate_);
    if (!order(request.collector_id, request.public_key, request))
        return failed(request.number, "too many renewals at once");
    return std::nullopt;
}

std::optional<RegisterResult> HubEnrolment::take_certificate(const HubKeys::Answer& answer) {
    const auto found = pending_.find(answer.number);
    if (found == pending_.end()) return std::nullopt;
    const Pending pending = std::move(found->second);
    pending_.erase(found);
    const auto* renewal = std::get_if<Renew>(&pending);
    const uint64_t number =
        renewal != nullptr ? renewal->number : std::get<PendingEnrolment>(pending).request.number;
    if (const auto* why = std::get_if<std::string>(&answer.result)) return failed(number, *why);
    const auto* certificate = std::get_if<KeysSignResult>(&answer.result);
    if (certificate == nullptr) return failed(number, "keys gave another answer");
    if (!certificate->error.empty()) return failed(number, certificate->error);
    return std::visit([&](const auto& one) { return finish(one, *certificate); }, pending);
}

RegisterResult HubEnrolment::finish(const PendingEnrolment& pending,
                                    const KeysSignResult& certificate) {
    const uint64_t number = pending.request.number;
    TokenAnswer answer;
    FlatError error;
    if (!store_enrolment(pending.request, pending.collector_id, certificate, answer, error))
        return failed(number, error.message);
    if (answer.state == TokenState::kRefused) return refused(number);
    return accepted(number, std::move(answer), ca_certificate_);
}

RegisterResult HubEnrolment::finish(const Renew& request, const KeysSignResult& certificate) {
    RenewalAnswer answer;
    FlatError error;
    if (!store_renewal(request, certificate, answer, error))
        return failed(request.number, error.message);
    return renewed(request, answer, ca_certificate_);
}

}  // namespace pganalytics::pg
