#!/bin/sh
# Runs in namespaces of its own, of mounts, processes, networks, names and control groups, and becomes systemd there, as
# process 1: on the root file system beside the folder $1, through which nothing is written to what lies below.
set -eu
root=$1/root
mount --make-rprivate /
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/tmp"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for node in null zero full random urandom tty; do
  : > "$root/dev/$node"
  mount --bind "/dev/$node" "$root/dev/$node"
done
mkdir "$root/dev/shm" "$root/dev/pts"
mount --bind "$1/report" "$root/mnt"
cd "$root"
mkdir -p tmp/outside
pivot_root . tmp/outside
umount -l /tmp/outside
ip link set lo up
exec env -i container=postern PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --unit=boot-test.target \
  --log-target=console --log-level=info --show-status=no
