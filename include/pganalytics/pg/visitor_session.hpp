// What a visitor's session relies on, set again after connecting: a database's owner can have set
// any of it otherwise.
#pragma once

namespace pganalytics::pg {

// Before connecting: the wait for the database itself has a limit too. May raise ERROR.
void limit_lock_waits(int lock_timeout_ms);

// After connecting, inside a transaction that will be committed. May raise ERROR.
void settle_session(int lock_timeout_ms);

}  // namespace pganalytics::pg
