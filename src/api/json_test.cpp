#include "api/json.hpp"

#include <gtest/gtest.h>

#include <array>
#include <boost/json/serialize.hpp>
#include <ctime>

#include "api/message.hpp"
#include "api/reply_schema.hpp"
#include "base/limits.hpp"

namespace ramet::api::json_test {

enum class Colour : std::uint8_t { red, green };
inline constexpr std::array<std::string_view, 2> kColourNames{"Red", "Green"};
inline constexpr std::array<std::string_view, 2> kStrategies{"InstantStart", "JustCreate"};

struct Card {
    VmId network_uuid;
    std::optional<std::string> mac;
    std::optional<std::int64_t> speed;
};

struct Machine {
    VmId uuid;
    std::string name;
    std::optional<std::string> note;
    std::string strategy = "InstantStart";
    Colour colour = Colour::red;
    std::int64_t size = 0;
    bool full = false;
    std::optional<bool> quick;
    std::vector<std::string> names;
    std::vector<std::int64_t> numbers;
    std::vector<Card> cards;
    std::optional<Card> main_card;
    std::string hidden;
    std::string password;
    Timestamp create_date;
};

}  // namespace ramet::api::json_test

namespace ramet {
template <> inline constexpr std::span<const std::string_view> enum_names<api::json_test::Colour>{api::json_test::kColourNames};

template <> const TypeInfo& describe<api::json_test::Card>() {
    using api::json_test::Card;
    static const TypeInfo info = row<Card>({"", "", "org.example.Card"}, "Card", "A card.",
                                           field<&Card::network_uuid>("networkUuid", "Its network.", {.required = true, .names_a = "NetworkVO"}),
                                           field<&Card::mac>("mac", "Its address.", {.characters_max = 17}),
                                           field<&Card::speed>("speed", "Bit/s.", {.at_least = 1, .at_most = 1000}));
    return info;
}

template <> const TypeInfo& describe<api::json_test::Machine>() {
    using api::json_test::Machine;
    static const TypeInfo info = row<Machine>(
        {"", "", "org.example.Machine"}, "Machine", "A machine.", field<&Machine::uuid>("uuid", "Its uuid.", {.in_path = true}),
        field<&Machine::name>("name", "Its name.", {.required = true, .characters_max = 5}), field<&Machine::note>("note", "A note."),
        field<&Machine::strategy>("strategy", "What then.", {.one_of = api::json_test::kStrategies}),
        field<&Machine::colour>("colour", "Its colour."), field<&Machine::size>("size", "Bytes."), field<&Machine::full>("full", "All of it."),
        field<&Machine::quick>("quick", "Fast."), field<&Machine::names>("names", "Names.", {.required = true, .characters_max = 3, .items_max = 4}),
        field<&Machine::numbers>("numbers", "Numbers."), field<&Machine::cards>("cards", "Cards.", {.loose_shape = true}),
        field<&Machine::main_card>("mainCard", "The first card."), field<&Machine::hidden>("hidden", "A column.", {.internal = true}),
        field<&Machine::password>("password", "Secret.", {.secret = true}), field<&Machine::create_date>("createDate", "When."));
    return info;
}
}  // namespace ramet

namespace ramet::api::json_test {

constexpr const char* kUuid = "327b60d6b8cd41489ade6f4830bcec16";

std::string written(std::string_view text) {
    std::string out;
    append_json_string(out, text);
    return out;
}

Result<Machine> read(std::string_view text) { return from_json<Machine>(text, Audience::wire); }

Machine valid_machine() {
    Machine machine;
    machine.uuid = VmId::trusted(kUuid);
    machine.name = "web";
    machine.names = {"a"};
    return machine;
}

TEST(JsonString, EscapesAsGsonDoes) {
    const std::vector<std::pair<std::string, std::string>> cases{
        {"plain", R"("plain")"},
        {"<>&='", R"("\u003c\u003e\u0026\u003d\u0027")"},
        {"\"\\/", R"("\"\\/")"},
        {"\b\f\n\r\t", R"("\b\f\n\r\t")"},
        {std::string("\x01\x1f\0", 3), R"("\u0001\u001f\u0000")"},
        {"näch 克隆 🚀", "\"näch 克隆 🚀\""},
        {"a\xE2\x80\xA8z", R"("a\u2028z")"},
        {"", R"("")"},
    };
    for (const auto& [text, expected] : cases) EXPECT_EQ(written(text), expected) << text;
}

TEST(JsonString, ReplacesBytesThatAreNoUtf8) {
    for (const std::string_view bad : {"\xff", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82"}) {
        const std::string text = written("a" + std::string(bad) + "z");
        EXPECT_TRUE(parse_json(text).has_value()) << text;
        EXPECT_EQ(text.substr(0, 5), "\"a\xEF\xBF\xBD");
    }
}

TEST(JsonWrite, OmitsNullsAndInternalFieldsAndKeepsTheOrder) {
    setenv("TZ", "UTC", 1);
    tzset();
    Machine machine = valid_machine();
    machine.hidden = "x";
    machine.password = "p";
    machine.create_date = Timestamp{1510669257141};
    machine.cards.push_back(Card{VmId::trusted(kUuid), "m", std::nullopt});
    EXPECT_EQ(to_json(machine), std::string(R"({"uuid":")") + kUuid +
                                    R"(","name":"web","strategy":"InstantStart","colour":"Red","size":0,"full":false,)" +
                                    R"("names":["a"],"numbers":[],"cards":[{"networkUuid":")" + kUuid +
                                    R"(","mac":"m"}],"password":"p","createDate":"Nov 14, 2017 2:20:57 PM"})");
}

TEST(JsonWrite, OnlyTheFieldsAskedForAreWritten) {
    std::string out;
    const std::vector<std::string> only{"name", "full"};
    const Machine machine = valid_machine();
    write_json(out, describe<Machine>(), &machine, Audience::wire, only);
    EXPECT_EQ(out, R"({"name":"web","full":false})");
}

TEST(JsonStorage, RoundTripsEverythingButSecrets) {
    Machine machine = valid_machine();
    machine.hidden = "kept";
    machine.password = "never";
    machine.create_date = Timestamp{1510669257141};
    machine.numbers = {-1, 9223372036854775807};
    machine.main_card = Card{VmId::trusted(kUuid), std::nullopt, 7};
    const std::string text = to_json(machine, Audience::storage);
    EXPECT_EQ(text.find("never"), std::string::npos);
    const Result<Machine> back = from_json<Machine>(text);
    ASSERT_TRUE(back.has_value());
    EXPECT_EQ(back->hidden, "kept");
    EXPECT_EQ(back->create_date.milliseconds, 1510669257141);
    EXPECT_EQ(back->numbers, machine.numbers);
    EXPECT_EQ(back->main_card->speed, 7);
    EXPECT_EQ(to_json(*back, Audience::storage), text.substr(0, text.size()));
}

TEST(JsonRead, AcceptsWhatClientsSend) {
    const Result<Machine> machine =
        read(R"({"name":7,"note":true,"size":"4","full":"true","quick":"False","colour":"green","unknown":{"a":[1]},"strategy":null,
        "names":["a",1],"createDate":"Nov 14, 2017 2:20:57 PM","hidden":"no"})");
    ASSERT_TRUE(machine.has_value()) << machine.error().message;
    EXPECT_EQ(machine->name, "7");
    EXPECT_EQ(machine->note, "true");
    EXPECT_EQ(machine->size, 4);
    EXPECT_TRUE(machine->full);
    EXPECT_EQ(machine->quick, false);
    EXPECT_EQ(machine->colour, Colour::green);
    EXPECT_EQ(machine->strategy, "InstantStart");
    EXPECT_EQ(machine->names, (std::vector<std::string>{"a", "1"}));
    EXPECT_EQ(to_wire_date(machine->create_date), "Nov 14, 2017 2:20:57 PM");
    EXPECT_EQ(machine->hidden, "");
}

TEST(JsonRead, ListsOfObjectsMayBeStrings) {
    for (const char* text : {R"({"cards":[{"mac":"x"},{"speed":5}]})", R"({"cards":["{\"mac\":\"x\"}","{\"speed\":\"5\"}"]})",
                             R"({"cards":"[{\"mac\":\"x\"},{\"speed\":5}]"})", R"({"cards":"[\"{\\\"mac\\\":\\\"x\\\"}\",{\"speed\":5}]"})"}) {
        const Result<Machine> machine = read(text);
        ASSERT_TRUE(machine.has_value()) << text << machine.error().message;
        ASSERT_EQ(machine->cards.size(), 2U) << text;
        EXPECT_EQ(machine->cards[0].mac, "x");
        EXPECT_EQ(machine->cards[1].speed, 5);
    }
}

TEST(JsonRead, NamesTheFieldThatIsWrong) {
    struct Case {
        const char* text;
        ErrorCode code;
        const char* named;
    };
    for (const Case& wrong : {
             Case{R"([])", ErrorCode::malformed, "the parameters"},
             Case{R"({"size":"4.0"})", ErrorCode::malformed, "'size'"},
             Case{R"({"size":4.5})", ErrorCode::malformed, "'size'"},
             Case{R"({"size":1e18})", ErrorCode::malformed, "'size'"},
             Case{R"({"size":9223372036854775808})", ErrorCode::malformed, "'size'"},
             Case{R"({"size":"99999999999999999999"})", ErrorCode::malformed, "'size'"},
             Case{R"({"size":1e400})", ErrorCode::malformed, ""},
             Case{R"({"size":[1]})", ErrorCode::malformed, "'size'"},
             Case{R"({"full":"yes"})", ErrorCode::malformed, "'full'"},
             Case{R"({"name":{}})", ErrorCode::malformed, "'name'"},
             Case{R"({"names":"a"})", ErrorCode::malformed, "'names'"},
             Case{R"({"names":[["a"]]})", ErrorCode::malformed, "'names[0]'"},
             Case{R"({"names":["a",null]})", ErrorCode::malformed, "'names[1]'"},
             Case{R"({"cards":[{},{"mac":[]}]})", ErrorCode::malformed, "'cards[1].mac'"},
             Case{R"({"cards":"nonsense"})", ErrorCode::malformed, "'cards'"},
             Case{R"({"cards":["x"]})", ErrorCode::malformed, "'cards[0]'"},
             Case{R"({"cards":{}})", ErrorCode::malformed, "'cards'"},
             Case{R"({"mainCard":"x"})", ErrorCode::malformed, "'mainCard'"},
             Case{R"({"createDate":"yesterday"})", ErrorCode::malformed, "'createDate'"},
             Case{R"({"colour":"blue"})", ErrorCode::invalid_argument, "'colour'"},
         }) {
        const Result<Machine> machine = read(wrong.text);
        ASSERT_FALSE(machine.has_value()) << wrong.text;
        EXPECT_EQ(machine.error().code, wrong.code) << wrong.text;
        EXPECT_NE(machine.error().message.find(wrong.named), std::string::npos) << machine.error().message;
    }
}

TEST(JsonParse, RefusesWhatIsNoJsonAndSaysWhere) {
    for (const std::string_view text : {"", " ", "{", "{\"a\":1}}", "{\"a\":1} x", "{'a':1}", "{\"a\":\"\xff\"}", "nul", "01", "[1,]"}) {
        const auto value = parse_json(text);
        ASSERT_FALSE(value.has_value()) << text;
        EXPECT_EQ(value.error().code, ErrorCode::malformed);
        EXPECT_NE(value.error().message.find("at byte"), std::string::npos) << value.error().message;
    }
    EXPECT_TRUE(parse_json(" {\"a\": \"näh\"} \r\n").has_value());
}

TEST(JsonParse, RefusesDeepNestingWithoutTheStack) {
    EXPECT_FALSE(parse_json(std::string(10'000, '[') + std::string(10'000, ']')).has_value());
    std::string objects;
    for (int i = 0; i < 10'000; ++i) objects += "{\"a\":";
    const auto value = parse_json(objects);
    ASSERT_FALSE(value.has_value());
    EXPECT_NE(value.error().message.find("deeper than"), std::string::npos);
    EXPECT_TRUE(parse_json(std::string(30, '[') + std::string(30, ']')).has_value());
}

TEST(JsonParse, TakesStringsOfFourMebibytes) {
    const std::string large(4 << 20, 'x');
    const Result<Machine> machine = read("{\"name\":\"" + large + "\"}");
    ASSERT_TRUE(machine.has_value());
    EXPECT_EQ(machine->name, large);
}

TEST(Rules, AValidMessagePassesAndItsSpellingIsNormalised) {
    Machine machine = valid_machine();
    machine.strategy = "justcreate";
    ASSERT_TRUE(check_rules(describe<Machine>(), &machine).has_value());
    EXPECT_EQ(machine.strategy, "JustCreate");
}

TEST(Rules, EachBrokenRuleNamesItsField) {
    struct Case {
        void (*spoil)(Machine&);
        ErrorCode code;
        const char* named;
    };
    for (const Case& wrong : {
             Case{[](Machine& m) { m.uuid = VmId(); }, ErrorCode::invalid_argument, "'uuid'"},
             Case{[](Machine& m) { m.uuid = VmId::trusted("x"); }, ErrorCode::not_found, "'uuid'"},
             Case{[](Machine& m) { m.name.clear(); }, ErrorCode::invalid_argument, "'name' is mandatory"},
             Case{[](Machine& m) { m.name = "123456"; }, ErrorCode::invalid_argument, "'name' is longer than 5"},
             Case{[](Machine& m) { m.strategy = "Never"; }, ErrorCode::invalid_argument, "'strategy'"},
             Case{[](Machine& m) { m.names.clear(); }, ErrorCode::invalid_argument, "'names'"},
             Case{[](Machine& m) { m.names = {"a", "b", "c", "d", "e"}; }, ErrorCode::invalid_argument, "'names' has 5 items"},
             Case{[](Machine& m) { m.names = {"a", "abcd"}; }, ErrorCode::invalid_argument, "'names[1]'"},
             Case{[](Machine& m) { m.cards = {Card{VmId::trusted(kUuid), {}, 1}, Card{}}; }, ErrorCode::invalid_argument, "'cards[1].networkUuid'"},
             Case{[](Machine& m) { m.cards = {Card{VmId::trusted("zz"), {}, 1}}; }, ErrorCode::not_found, "'cards[0].networkUuid'"},
             Case{[](Machine& m) { m.cards = {Card{VmId::trusted(kUuid), {}, 0}}; }, ErrorCode::invalid_argument, "'cards[0].speed' is 0"},
             Case{[](Machine& m) { m.main_card = Card{VmId::trusted(kUuid), {}, 1001}; }, ErrorCode::invalid_argument, "'mainCard.speed' is 1001"},
         }) {
        Machine machine = valid_machine();
        wrong.spoil(machine);
        const Result<void> checked = check_rules(describe<Machine>(), &machine);
        ASSERT_FALSE(checked.has_value()) << wrong.named;
        EXPECT_EQ(checked.error().code, wrong.code) << wrong.named;
        EXPECT_NE(checked.error().message.find(wrong.named), std::string::npos) << checked.error().message;
    }
}

TEST(Rules, LengthIsCountedInCharacters) {
    Machine machine = valid_machine();
    machine.name = "äöüßé";
    EXPECT_TRUE(check_rules(describe<Machine>(), &machine).has_value());
}

TEST(ErrorJson, CarriesCauseAndSubject) {
    Error inner{ErrorCode::wrong_state, "it is Paused", "/secret/path", nullptr, {}};
    Error outer = caused(ErrorCode::start_failed, "starting 'web'", inner).error();
    outer.subject = "web-01";
    EXPECT_EQ(error_body(outer),
              R"({"error":{"code":"VM.1001","description":"The VM could not be started","details":"starting \u0027web\u0027: it is Paused",)"
              R"("cause":{"code":"VM.1010","description":"The VM\u0027s state does not allow the operation","details":"it is Paused"},)"
              R"("opaque":{"name":"web-01"}}})");
}

TEST(ErrorJson, EveryCodeHasAWireCodeAndADescription) {
    for (std::size_t code = 0; code <= static_cast<std::size_t>(ErrorCode::overloaded); ++code) {
        EXPECT_NE(api_code(static_cast<ErrorCode>(code)).find('.'), std::string_view::npos);
        EXPECT_FALSE(api_description(static_cast<ErrorCode>(code)).empty());
    }
    EXPECT_EQ(api_code(ErrorCode::not_found), "SYS.1003");
    EXPECT_EQ(api_code(ErrorCode::session_invalid), "ID.1001");
}

TEST(SchemaMap, ListsPresentPathsParentsFirst) {
    Machine machine = valid_machine();
    machine.cards.resize(2);
    Schema schema;
    append_schema(schema, "inventories[3]", describe<Machine>(), &machine);
    const Schema expected{
        {"inventories[3]", "org.example.Machine"}, {"inventories[3].cards[0]", "org.example.Card"}, {"inventories[3].cards[1]", "org.example.Card"}};
    EXPECT_EQ(schema, expected);
}

TEST(SchemaMap, IsAddedToAReplyThatIsText) {
    MessageInfo message;
    message.reply_key = "inventory";
    message.reply = &describe<Machine>;
    EXPECT_EQ(with_schema(message, R"({"inventory":{"name":"a","mainCard":{"mac":"x"},"note":"y"}})"),
              R"({"inventory":{"name":"a","mainCard":{"mac":"x"},"note":"y"},)"
              R"("schema":{"inventory":"org.example.Machine","inventory.mainCard":"org.example.Card"}})");
    EXPECT_EQ(with_schema(message, "{}"), "{}");
    EXPECT_EQ(with_schema(message, R"({"inventory":{},"schema":{}})"), R"({"inventory":{},"schema":{}})");
    message.query_row = &describe<Card>;
    EXPECT_EQ(with_schema(message, R"({"inventories":[{},{}]})"),
              R"({"inventories":[{},{}],"schema":{"inventories[0]":"org.example.Card","inventories[1]":"org.example.Card"}})");
}

}  // namespace ramet::api::json_test
