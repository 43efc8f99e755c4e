// simdjson's first stage: it checks UTF-8 and finds where each token begins, and checks no grammar.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <simdjson.h>

namespace {
std::unique_ptr<simdjson::internal::dom_parser_implementation> parser;
size_t capacity = 0;
}  // namespace

extern "C" {

#define WORD(x) #x
#define TEXT(x) WORD(x)
const char* compare_simdjson_version() { return TEXT(SIMDJSON_VERSION); }

// The kernel that it chose for this machine.
const char* compare_simdjson_kernel() {
    static const std::string name = simdjson::get_active_implementation()->name();
    return name.c_str();
}

// The number of tokens; 0 where the text is refused.
size_t compare_simdjson_stage1(const uint8_t* text, size_t length) {
    if (capacity < length) {
        if (simdjson::get_active_implementation()->create_dom_parser_implementation(length, 1024, parser)) return 0;
        capacity = length;
    }
    if (parser->stage1(text, length, simdjson::stage1_mode::regular)) return 0;
    return parser->n_structural_indexes;
}
}
