// Small JSON objects of known members, as in tokens: texts and integers, objects in objects, no
// arrays. Exactly the members asked for, each once. Runs in serve.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace pganalytics::net {

// Reads hostile bytes. Say which members there are ("cnf.x5t#S256" is a member of the object
// "cnf"), then parse.
class FlatJson {
  public:
    // `out` outlives parse().
    void text(std::string_view path, std::string& out);
    void integer(std::string_view path, int64_t& out);

    // False where `json` is anything but one object with exactly these members, each once and of
    // its type; the outs are then unspecified.
    bool parse(std::string_view json);

  private:
    friend struct FlatJsonHandler;
    struct Member {
        std::string_view path;
        std::string* text = nullptr;
        int64_t* integer = nullptr;
        bool seen = false;
    };
    std::vector<Member> members_;
};

// "name":"value", with a comma before it where `out` is not empty. Texts are valid UTF-8.
void append_json_member(std::string& out, std::string_view name, std::string_view value);
void append_json_member(std::string& out, std::string_view name, int64_t value);
// "name":{members}
void append_json_object(std::string& out, std::string_view name, std::string_view members);

}  // namespace pganalytics::net
