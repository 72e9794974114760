#!/bin/sh
# Installs Postern's agent on this machine, enrolls it, and starts it. Nothing is closed yet: that comes with a policy.
#
#   sudo sh postern-install.sh SERVER CA <<'END'
#   TOKEN
#   END
#
# The token comes from the standard input, so that no other user reads it in the list of processes before it is used.
# With POSTERN_ROOT set, everything goes below that folder and nothing is started, as for an image.
set -eu

[ $# -eq 2 ] || { echo "usage: sh $0 SERVER CA, with the token on the standard input" >&2; exit 2; }
server=$1 ca=$2
read -r token && [ -n "$token" ] || { echo "postern: there is no token on the standard input" >&2; exit 2; }
root=${POSTERN_ROOT:-}

fail() { echo "postern: $1" >&2; exit 1; }
[ -n "$root" ] || [ "$(id -u)" = 0 ] || fail "run this as root: sudo sh $0 …"
[ "$(uname -s)" = Linux ] || fail "the agent runs on Linux; put other machines behind a gateway"
case $(uname -m) in
  x86_64 | amd64) arch=amd64 ;;
  aarch64 | arm64) arch=arm64 ;;
  *) arch=$(uname -m) ;;
esac
[ "$arch" = "{{.Arch}}" ] || fail "the server has a program for {{.Arch}}, and this is $arch: build postern for it, and follow docs/operate/agent.md"
[ -n "$root" ] || command -v systemctl >/dev/null || fail "systemd is needed to start the agent: follow docs/operate/agent.md"

mkdir -p "$root/usr/bin" "$root/etc/systemd/system/nftables.service.d" "$root/etc/sysusers.d" "$root/var/lib/postern/agent"
chmod 700 "$root/var/lib/postern/agent"
curl -fsS --cacert "$ca" -o "$root/usr/bin/postern.new" "$server/install/postern"
chmod 755 "$root/usr/bin/postern.new"
mv "$root/usr/bin/postern.new" "$root/usr/bin/postern"

cat > "$root/etc/systemd/system/postern-agent.service" <<'END-OF-UNIT'
{{.Agent}}END-OF-UNIT
cat > "$root/etc/systemd/system/postern-guard.service" <<'END-OF-UNIT'
{{.Guard}}END-OF-UNIT
cat > "$root/etc/systemd/system/nftables.service.d/postern.conf" <<'END-OF-UNIT'
{{.Flushed}}END-OF-UNIT
cat > "$root/etc/sysusers.d/postern.conf" <<'END-OF-UNIT'
{{.Users}}END-OF-UNIT

[ -n "$root" ] || systemd-sysusers /etc/sysusers.d/postern.conf
printf '%s\n' "$token" | "$root/usr/bin/postern" agent enroll --server "$server" --token-file - --ca "$ca" --state "$root/var/lib/postern/agent"
[ -z "$root" ] || exit 0
chown -R postern:postern /var/lib/postern/agent
systemctl daemon-reload
systemctl enable --now postern-guard postern-agent
echo "The agent runs. Say in the portal which ports to guard."
