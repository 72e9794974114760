# What a host of the tests is made of: a view of the file system of its own, and systemctl, journalctl and ssh as far as
# the manual uses them. systemctl starts what the unit really says, as its user and with its capabilities.
mount --bind "$HOST/var" /var
mount --bind "$HOST/etc/default" /etc/default
for file in hosts passwd group; do mount --bind "$HOST/etc/$file" "/etc/$file"; done

systemctl() {
  local verb=$1 unit; shift
  [ "${1-}" != --now ] || shift
  for unit; do
    case $verb in
      stop | disable) halt "$unit" ;;
      restart) halt "$unit"; launch "$unit" ;;
      start | enable) launch "$unit" ;;
      *) echo "systemctl $verb is not known here" >&2; return 1 ;;
    esac
  done
}

halt() {
  local pid
  pid=$(cat "$HOST/$1.pid" 2>/dev/null) || return 0
  rm "$HOST/$1.pid"
  kill "$pid"
  while kill -0 "$pid" 2>/dev/null; do sleep 0.02; done
}

launch() {
  local file="$UNITS/$1.service" run=() folder
  [ ! -e "$HOST/$1.pid" ] || return 0
  grep -q '^User=postern' "$file" && run=(setpriv --reuid postern --regid postern --clear-groups)
  grep -q '^AmbientCapabilities=CAP_NET_ADMIN' "$file" && run+=(--inh-caps +net_admin --ambient-caps +net_admin)
  for folder in $(sed -n 's/^StateDirectory=//p' "$file"); do
    install -d -m 700 "/var/lib/$folder"
    chown -R postern: "/var/lib/$folder"
  done
  (
    set -a
    for folder in $(sed -n 's/^EnvironmentFile=-//p' "$file"); do [ ! -e "$folder" ] || . "$folder"; done
    set +a
    command=$(sed -n 's/^ExecStart=\/usr\/bin\///p' "$file")
    if grep -q '^Type=oneshot' "$file"; then exec $command; fi
    # shellcheck disable=SC2086 # words of a unit
    setsid "${run[@]}" "$BIN"/$command </dev/null >>"$HOST/$1.log" 2>&1 &
    echo $! >"$HOST/$1.pid"
  )
  [ "$1" != postern-server ] || until curl -fsk -o /dev/null https://localhost:8443/readyz; do sleep 0.05; done
}

sudo() { "$@"; }
journalctl() { cat "$HOST/$2.log"; }
ssh() { timeout 5 bash -c "exec 3<>/dev/tcp/$1/22"; }
