// Enrolment with the own hub (see the header). Runs in the collector.
#include "pganalytics/pg/self_enrolment.hpp"

#include "pganalytics/pg/log.hpp"
#include "pganalytics/pg/shared_state.hpp"

namespace pganalytics::pg {

void ask_own_hub() {
    {
        HubShared& hub = shared_state()->hub;
        const SpinLock lock(hub.mutex);
        if (hub.mailbox.state == MailboxState::kEmpty) hub.mailbox.state = MailboxState::kAsked;
    }
    wake_hub();
}

std::optional<SelfEnrol> take_own_hubs_answer() {
    EnrolmentMailbox answer;
    {
        HubShared& hub = shared_state()->hub;
        const SpinLock lock(hub.mutex);
        if (hub.mailbox.state != MailboxState::kAnswered &&
            hub.mailbox.state != MailboxState::kRefused) {
            return std::nullopt;
        }
        answer = hub.mailbox;
        std::memset(static_cast<void*>(&hub.mailbox), 0, sizeof hub.mailbox);
    }
    if (answer.state == MailboxState::kRefused) {
        log_limited(LOG, "own hub", "the server's own hub gave no token", answer.problem);
        return std::nullopt;
    }
    std::optional<SelfEnrol> enrolment = SelfEnrol{answer.url, answer.token};
    explicit_bzero(&answer, sizeof answer);
    return enrolment;
}

}  // namespace pganalytics::pg
