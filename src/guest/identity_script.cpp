#include "guest/identity_script.hpp"

#include <algorithm>
#include <array>

namespace ramet::guest {
namespace {

constexpr std::size_t kAnswerLinesMax = 128;  // 16 NICs and what else a machine may have
constexpr std::size_t kValueBytesMax = 256;   // a host name has at most 253 characters

constexpr std::string_view kScript = R"sh(
id="$1"; name="$2"; mode="$3"; marker=/var/lib/ramet/identity
have() { command -v "$1" >/dev/null 2>&1; }
young() { read -r up rest </proc/uptime; [ "${up%%.*}" -lt 180 ]; }
by=seed
if have cloud-init && [ -d /run/cloud-init ]; then
    [ -f /run/cloud-init/result.json ] || exit 75
    by=cloud-init
fi
by_host=$by; by_machine=$by; by_keys=$by
if [ "$(sed -n 1p $marker 2>/dev/null)" = "$id" ]; then
    read -r by_host by_machine by_keys <<END
$(sed -n 2p $marker)
END
fi
restart() { have systemctl && systemctl try-restart "$@" >/dev/null 2>&1; }
if [ -n "$name" ] && [ "$(hostname)" != "$name" ]; then
    old="$(hostname)"; by_host=agent
    if have hostnamectl; then hostnamectl set-hostname "$name" 2>/dev/null || hostname "$name"; else hostname "$name"; fi
    echo "$name" >/etc/hostname || exit 3
    [ -w /etc/hosts ] && [ -n "$old" ] && sed -i "s/\([[:space:]]\)$old\([[:space:]]\|$\)/\1$name\2/g" /etc/hosts
fi
if [ "$mode" = reset ]; then
    if [ "$(cat /etc/machine-id 2>/dev/null)" != "$id" ]; then
        by_machine=agent
        echo "$id" >/etc/machine-id || exit 1
        if [ -f /var/lib/dbus/machine-id ] && [ ! -L /var/lib/dbus/machine-id ]; then echo "$id" >/var/lib/dbus/machine-id; fi
        restart systemd-networkd.service
    fi
    keys_done=no
    [ "$(cat /var/lib/cloud/data/instance-id 2>/dev/null)" = "$id" ] && keys_done=yes
    [ "$(cat /etc/ramet/instance-id 2>/dev/null)" = "$id" ] && keys_done=yes
    [ "$(cat /var/lib/ramet/instance-id 2>/dev/null)" = "$id" ] && keys_done=yes  # the gate of an instant clone made them
    [ "$(sed -n 1p $marker 2>/dev/null)" = "$id" ] && keys_done=yes
    if [ $keys_done = no ] && have ssh-keygen && [ -d /etc/ssh ]; then
        by_keys=agent
        rm -f /etc/ssh/ssh_host_*_key /etc/ssh/ssh_host_*_key.pub
        ssh-keygen -A >/dev/null 2>&1 || exit 2
        restart ssh.service sshd.service
    fi
    mkdir -p /var/lib/ramet && printf '%s\n%s\n' "$id" "$by_host $by_machine $by_keys" >$marker
    sync
else
    by_machine=none; by_keys=none
    [ "$by_host" = agent ] || by_host=none
fi
if young; then
    [ -d /etc/dropbear ] && have dropbearkey && [ ! -f /run/dropbear.pid ] && exit 75
    [ "$4" = address ] && ! ip -4 -o addr show scope global 2>/dev/null | grep -q inet && exit 75
fi
say() { [ -n "$3" ] && printf '%s\t%s\t%s\n' "$1" "$2" "$3"; }
say host-name $by_host "$(hostname)"
say machine-id $by_machine "$(cat /etc/machine-id 2>/dev/null)"
if [ -s /var/lib/cloud/data/instance-id ]; then say instance-id $by "$(sed -n 1p /var/lib/cloud/data/instance-id)"
elif [ -s /etc/ramet/instance-id ]; then say instance-id $by "$(sed -n 1p /etc/ramet/instance-id)"
elif [ -s $marker ]; then say instance-id agent "$(sed -n 1p $marker)"
fi
say smbios-uuid hypervisor "$(cat /sys/class/dmi/id/product_uuid 2>/dev/null)"
say smbios-serial hypervisor "$(cat /sys/class/dmi/id/product_serial 2>/dev/null)"
for nic in /sys/class/net/*; do
    [ -e $nic/device ] || continue
    mac=$(cat $nic/address); addresses=$(ip -4 -o addr show dev ${nic##*/} scope global 2>/dev/null | sed -n 's/.* inet \([0-9.]*\).*/\1/p')
    say nic hypervisor "$mac $(echo $addresses)"
    lease=/run/systemd/netif/leases/$(cat $nic/ifindex)
    [ -f $lease ] && say dhcp-client-id $by_machine "$(sed -n 's/^CLIENTID=//p' $lease)"
done
if have ssh-keygen; then
    for key in /etc/ssh/ssh_host_*_key.pub; do
        [ -f $key ] && ssh-keygen -lf $key | while read -r bits print rest; do
            say ssh-host-key.$(echo "${rest##* }" | tr -d '()' | tr A-Z a-z) $by_keys "$print"
        done
    done
elif have dropbearkey; then
    for key in /etc/dropbear/dropbear_*_host_key; do
        kind=${key#*dropbear_}
        [ -f $key ] && say ssh-host-key.${kind%_host_key} $by_keys "$(dropbearkey -y -f $key | sed -n 's/^Fingerprint: *//p')"
    done
fi
exit 0
)sh";

constexpr std::string_view kHex = "0123456789abcdefABCDEF";

// What a value of each identifier may consist of. An identifier that ends in '.' has a kind after it.
struct Alphabet {
    std::string_view identifier;
    bool letters;  // a-z, A-Z and digits are allowed
    std::string_view others;
    std::size_t characters;  // exactly; 0: any number
};
constexpr std::array<Alphabet, 8> kAlphabets{{{"host-name", true, "-.", 0},
                                              {"machine-id", false, "0123456789abcdef", 32},
                                              {"instance-id", true, "-._:", 0},
                                              {"smbios-uuid", false, "0123456789abcdefABCDEF-", 36},
                                              {"smbios-serial", true, "-._ ", 0},
                                              {"nic", false, "0123456789abcdef:. ", 0},
                                              {"dhcp-client-id", false, kHex, 0},
                                              {"ssh-host-key.", true, "+/=:", 0}}};
constexpr std::array<std::string_view, 5> kMeans{"hypervisor", "seed", "cloud-init", "agent", "none"};

bool is_letter_or_digit(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

bool holds(const Alphabet& alphabet, std::string_view value) {
    if (value.empty() || value.size() > kValueBytesMax) return false;
    if (alphabet.characters != 0 && value.size() != alphabet.characters) return false;
    return std::ranges::all_of(
        value, [&](char c) { return (alphabet.letters && is_letter_or_digit(c)) || alphabet.others.find(c) != std::string_view::npos; });
}

bool names(const Alphabet& alphabet, std::string_view identifier) {
    if (alphabet.identifier.back() != '.') return identifier == alphabet.identifier;
    if (!identifier.starts_with(alphabet.identifier)) return false;
    const std::string_view kind = identifier.substr(alphabet.identifier.size());
    return !kind.empty() && kind.size() <= 16 && std::ranges::all_of(kind, is_letter_or_digit);
}

std::string lower(std::string_view text) {
    std::string out(text);
    std::ranges::transform(out, out.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
    return out;
}

// RFC 4361: type 255, four bytes of IAID, then the DUID.
void add_duid(std::vector<api::IdentityFact>& facts) {
    const api::IdentityFact* const client = find_fact(facts, "dhcp-client-id");
    constexpr std::size_t kBefore = 2 + 8;
    if (client == nullptr || !client->new_value->starts_with("ff") || client->new_value->size() <= kBefore) return;
    api::IdentityFact duid = *client;
    duid.identifier = "dhcp-duid";
    duid.new_value = client->new_value->substr(kBefore);
    facts.push_back(std::move(duid));
}

}  // namespace

std::string_view identity_script() { return kScript; }

std::vector<api::IdentityFact> read_answer(std::string_view answer) {
    std::vector<api::IdentityFact> facts;
    for (std::size_t lines = 0; !answer.empty() && lines < kAnswerLinesMax; ++lines) {
        const std::string_view line = answer.substr(0, answer.find('\n'));
        answer.remove_prefix(std::min(answer.size(), line.size() + 1));
        const std::size_t first = line.find('\t');
        const std::size_t second = first == std::string_view::npos ? first : line.find('\t', first + 1);
        if (second == std::string_view::npos) continue;
        const std::string_view identifier = line.substr(0, first), means = line.substr(first + 1, second - first - 1);
        std::string_view value = line.substr(second + 1);
        while (!value.empty() && value.back() == ' ') value.remove_suffix(1);
        const auto alphabet = std::ranges::find_if(kAlphabets, [&](const Alphabet& known) { return names(known, identifier); });
        if (alphabet == kAlphabets.end() || !holds(*alphabet, value) || std::ranges::find(kMeans, means) == kMeans.end()) continue;
        if (identifier != "nic" && find_fact(facts, identifier) != nullptr) continue;
        api::IdentityFact fact;
        fact.identifier = identifier;
        fact.means = means;
        fact.state = api::FactState::fresh;
        fact.new_value = identifier == "smbios-uuid" || identifier == "dhcp-client-id" ? lower(value) : std::string(value);
        facts.push_back(std::move(fact));
    }
    add_duid(facts);
    return facts;
}

}  // namespace ramet::guest
