// `pganalytics register --state-directory D --url U --token-file F [--name N]`: enrols a server
// with a hub by hand, for servers without the SQL functions. Run by a person as the server's OS
// user; a running server notices within seconds.
#pragma once

#include <span>
#include <string>

namespace pganalytics::ship {

int register_main(std::span<const std::string> args);

}  // namespace pganalytics::ship
