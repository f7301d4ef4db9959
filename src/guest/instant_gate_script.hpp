// What runs inside the guest, by its own /bin/sh. Text alone: instant_gate.cpp says when.
#pragma once

namespace ramet::guest {

// Arguments: instance-id, host name, then one word list per NIC: "OLD-MAC NEW-MAC ADDRESS/PREFIX GATEWAY", "-" for none.
// The host name "-": the guest is the very machine that it was, and takes random numbers alone. Standard input: random text.
// Answers a line "what|outcome|detail" per fact; exit code 0: the links may go up.
//
// The helper is a program of 224 bytes (x86-64): it copies its input to /dev/urandom and asks the kernel to draw a new key from its pool
// (ioctl RNDRESEEDCRNG). Writing alone takes effect only within a minute, and all clones would make the same SSH keys until then.
inline constexpr const char* kGateScript = R"sh(
export PATH=/bin:/sbin:/usr/bin:/usr/sbin LC_ALL=C
id=$1; name=$2; shift 2
fact() { printf '%s|%s|%s\n' "$1" "$2" "$3"; }
give_up() { fact "$1" failed "$2"; exit 1; }
takes_files() { printf %s "$id" >probe.$$ 2>/dev/null && [ "$(cat probe.$$)" = "$id" ]; probed=$?; rm -f probe.$$ 2>/dev/null; return $probed; }
# When the file system is to blame, whatever else was tried on it.
because() {
    takes_files && return
    if grep -q '^[^ ]* / [^ ]* ro[ ,]' /proc/mounts; then
        echo "${1}its root file system is read-only; mount it writable in the source and clone again"
    else
        echo "${1}its root file system is full; free some space in the source and clone again"
    fi
}

entropy=$(cat)
mkdir -p /var/lib/ramet 2>/dev/null; cd /var/lib/ramet 2>/dev/null || cd /
why=$(because); [ -z "$why" ] || give_up fileSystem "$why"
[ "$PWD" = /var/lib/ramet ] || give_up fileSystem "/var/lib/ramet cannot be made in the guest; remove what is in its place and clone again"
reseeded=
printf '\177ELF\002\001\001\000\000\000\000\000\000\000\000\000\002\000\076\000\001\000\000\000x\000\100\000\000\000\000\000\100'\
'\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\100\0008\000\001\000\000\000\000\000\000'\
'\000\001\000\000\000\005\000\000\000\000\000\000\000\000\000\000\000\000\000\100\000\000\000\000\000\000\000\100\000\000'\
'\000\000\000\340\000\000\000\000\000\000\000\340\000\000\000\000\000\000\000\000\020\000\000\000\000\000\000UH\211\345H'\
'\201\354\000\002\000\0001\3001\377H\211\346\272\000\002\000\000\017\005A\211\304\270\002\000\000\000H\215\0753\000\000'\
'\000\276\002\000\000\000\017\005\211\303\270\001\000\000\000\211\337H\211\346D\211\342\017\005\270\020\000\000\000\211'\
'\337\276\007R\000\0001\322\017\005\211\307\367\337\270\347\000\000\000\017\005/dev/urandom\000' >reseed.$$ &&
    chmod 700 reseed.$$ && printf %s "$entropy" | ./reseed.$$ && reseeded="new key from the host's random numbers"
rm -f reseed.$$
if [ -z "$reseeded" ] && command -v perl >/dev/null 2>&1; then
    printf %s "$entropy" | perl -e 'open(F,"+>","/dev/urandom")||exit 1; syswrite(F,join("",<STDIN>)); exit(ioctl(F,0x5207,0)?0:1)' &&
        reseeded="new key from the host's random numbers"
fi
if [ -z "$reseeded" ]; then
    for device in /sys/bus/acpi/drivers/vmgenid/*:*; do [ -e "$device" ] && reseeded="new key by the VM generation id"; done
fi
[ -n "$reseeded" ] || give_up randomPool "the kernel's random numbers cannot be made different from the source's"
fact randomPool changed "$reseeded"
[ "$name" != - ] || exit 0

find_device() {  # by MAC; every program that is not started is time the links are down
    device=
    for path in /sys/class/net/*; do
        [ -e "$path/device" ] && read -r address <"$path/address" && [ "$address" = "$1" ] && device=${path##*/} && return
    done
}
# A client that is killed sends no farewell for the source's address. Which one it was is kept for after the links are up.
stop_dhcp() {
    for path in /proc/[0-9]*; do
        read -r client 2>/dev/null <"$path/comm" || continue
        case $client in udhcpc|dhclient|dhcpcd) ;; *) continue ;; esac
        tr '\0' ' ' 2>/dev/null <"$path/cmdline" | grep -q -w -- "$1" || continue
        kill -KILL "${path##*/}" 2>/dev/null && echo "$client" >"/run/ramet-dhcp.$1"
    done
    rm -f /var/lib/dhcp/dhclient*"$1"*.lease* /run/udhcpc."$1".pid
}
for nic in "$@"; do
    set -- $nic
    find_device "$2"
    if [ -z "$device" ]; then
        find_device "$1"
        [ -n "$device" ] || give_up mac "no NIC has the source's MAC $1"
        default=$(ip -4 route show dev "$device" 2>/dev/null | grep '^default')
        stop_dhcp "$device"
        ip addr flush dev "$device" 2>/dev/null
        ip link set dev "$device" down && ip link set dev "$device" address "$2" || give_up mac "$device does not take another MAC"
        read -r address <"/sys/class/net/$device/address" && [ "$address" = "$2" ] || give_up mac "$device does not take another MAC"
        if [ "$3" != - ]; then ip addr add "$3" dev "$device" || give_up address "$device does not take $3"; fi
        ip link set dev "$device" up
        # One that came by DHCP may have gone with the link already.
        ip -4 route show 2>/dev/null | grep -q '^default' || default=none
        if [ "$4" != - ] && [ -n "$default" ]; then ip -4 route replace default via "$4" dev "$device"; fi
        ip neigh flush dev "$device" 2>/dev/null
    fi
    fact mac changed "$device $1 to $2"
    [ "$3" = - ] || fact address changed "$device $3"
done

name_it() {
    old=$(hostname)
    [ "$old" != "$name" ] || return 0
    if command -v hostnamectl >/dev/null 2>&1; then hostnamectl set-hostname "$name" 2>/dev/null || hostname "$name"; else hostname "$name"; fi
    echo "$name" >/etc/hostname || return 1
    [ ! -w /etc/hosts ] || [ -z "$old" ] || sed -i "s/\([[:space:]]\)$old\([[:space:]]\|\$\)/\1$name\2/g" /etc/hosts
    return 0
}
number_it() {
    [ "$(cat /etc/machine-id 2>/dev/null)" != "$id" ] || return 0
    echo "$id" >/etc/machine-id || return 1
    [ ! -f /var/lib/dbus/machine-id ] || [ -L /var/lib/dbus/machine-id ] || echo "$id" >/var/lib/dbus/machine-id
    return 0
}
if command -v ramet-identity >/dev/null 2>&1; then
    ramet-identity --instance-id "$id" --hostname "$name" >/dev/null 2>&1 || give_up machineId "ramet-identity failed$(because ": ")"
    fact hostName changed "$name"; fact machineId changed "$id"; fact sshHostKeys changed "made anew"
else
    name_it || give_up hostName "/etc/hostname cannot be written$(because ": ")"
    fact hostName changed "$name"
    number_it || give_up machineId "/etc/machine-id cannot be written$(because ": ")"
    fact machineId changed "$id"
    if [ "$(cat instance-id 2>/dev/null)" != "$id" ] && command -v ssh-keygen >/dev/null 2>&1 && [ -d /etc/ssh ]; then
        rm -f /etc/ssh/ssh_host_*_key /etc/ssh/ssh_host_*_key.pub
        ssh-keygen -A >/dev/null 2>&1 || give_up sshHostKeys "ssh-keygen failed$(because ": ")"
        command -v systemctl >/dev/null 2>&1 && systemctl --no-block try-restart ssh.service sshd.service >/dev/null 2>&1
        fact sshHostKeys changed "made anew"
    else
        fact sshHostKeys kept "there are none, or they are this VM's"
    fi
fi
# cloud-init in the middle of a first boot goes on as the source, and may give back what it was told then. One clone's watch is not for its clones.
[ ! -e /run/ramet-first-boot ] || { kill "$(cat /run/ramet-first-boot)" 2>/dev/null; rm -f /run/ramet-first-boot; }
if [ -d /run/cloud-init ] && [ ! -e /run/cloud-init/result.json ]; then
    (looks=900; while [ ! -e /run/cloud-init/result.json ] && [ $looks -gt 0 ]; do looks=$((looks - 1)); sleep 1; done
        name_it; number_it; rm -f /run/ramet-first-boot) >/dev/null 2>&1 </dev/null &
    echo $! >/run/ramet-first-boot
    fact firstBoot changed "cloud-init is still at it; host name and machine-id are set again at its end"
fi
for hook in /etc/ramet/resume.d/*; do
    [ -x "$hook" ] || continue
    RAMET_INSTANCE_ID=$id RAMET_HOST_NAME=$name timeout 10 "$hook" >/dev/null 2>&1 </dev/null ||
        give_up hook "${hook##*/} failed or took longer than 10 s"
    fact hook changed "${hook##*/} ran"
done
echo "$id" >instance-id || give_up fileSystem "/var/lib/ramet takes no file$(because ": ")"
exit 0
)sh";

// Argument: seconds since 1970. For a guest whose agent may not set the clock.
inline constexpr const char* kGateClockScript = R"sh(
export PATH=/bin:/sbin:/usr/bin:/usr/sbin LC_ALL=C
date -u -s "@$1" >/dev/null
)sh";

// Arguments: one word list per NIC: "NEW-MAC GATEWAY", "-" for none. Runs once the links are up: what finds addresses by itself is started again, for the
// new MAC. Not all such programs know it: what they leave without a default route gets one, which is what a client that comes later sets as well.
inline constexpr const char* kGateOpenScript = R"sh(
export PATH=/bin:/sbin:/usr/bin:/usr/sbin LC_ALL=C
for nic in "$@"; do
    set -- $nic
    for path in /sys/class/net/*; do
        [ -e "$path/device" ] && read -r address <"$path/address" && [ "$address" = "$1" ] || continue
        device=${path##*/}
        client=$(cat "/run/ramet-dhcp.$device" 2>/dev/null); rm -f "/run/ramet-dhcp.$device"
        if [ -x /etc/ramet/net ]; then
            [ -n "$client" ] && /etc/ramet/net up "$device"
        elif [ "$client" = dhclient ]; then
            dhclient -nw -pf "/run/dhclient.$device.pid" -lf "/var/lib/dhcp/dhclient.$device.leases" "$device" >/dev/null 2>&1
        elif [ "$client" = dhcpcd ]; then
            dhcpcd -b "$device" >/dev/null 2>&1
        elif [ "$client" = udhcpc ]; then
            udhcpc -b -i "$device" >/dev/null 2>&1 &
        elif command -v networkctl >/dev/null 2>&1 && systemctl -q is-active systemd-networkd 2>/dev/null; then
            networkctl reconfigure "$device" >/dev/null 2>&1
        elif command -v nmcli >/dev/null 2>&1; then
            nmcli device connect "$device" >/dev/null 2>&1
        fi
        [ "$2" = - ] || ip -4 route show 2>/dev/null | grep -q '^default' || ip -4 route replace default via "$2" dev "$device" 2>/dev/null
    done
done
exit 0
)sh";

}  // namespace ramet::guest
