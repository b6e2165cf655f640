// What a visitor's session relies on, set again after connecting: a database's owner can have set
// any of it otherwise.
#pragma once

namespace pganalytics::pg {

// Before connecting: limits, which nothing that the database brings along overrides. The wait for
// the database itself has one too. May raise ERROR.
void prepare_session(int lock_timeout_ms);

// After connecting, inside a transaction that will be committed. May raise ERROR.
void settle_session();

// What of it decides over a query's result, for the rest of the (sub)transaction of a session that
// tries what a visitor will read. May raise ERROR.
void settle_trial();

}  // namespace pganalytics::pg
