// `pganalytics ledger`: tells from the journal of a state directory, its spool and the hub's ledger
// whether anything was lost or stored twice. A tool a person or a test runs; changes nothing.
#pragma once

#include <span>
#include <string>

namespace pganalytics::ship {

int ledger_main(std::span<const std::string> args);

}  // namespace pganalytics::ship
