// Package nftables enforces a desired state in the Linux kernel: in a table of our own, whose closed ports stay closed
// and whose openings end by themselves, whether or not anybody lives to end them.
//
// Openings are elements with a timeout in hash sets, one set for each prefix length in use; so nested prefixes never
// disturb each other, a change costs the same among ten openings as among a hundred thousand, and a reload in one
// transaction loses and leaks no packet. Interval sets are avoided on purpose: they refuse overlaps depending on the
// order, delete slowly, and are published after the commit, which lets packets through while a table is replaced.
//
// The table belongs to our netlink socket and outlives it: while we live nobody else can change it, and when we die it
// goes on closing. Kernels before 6.9 cannot do that; there we notice changes and undo them.
//
// UDP is always cut at the end of an opening, whatever the policy says of sessions: it has no handshake by which to
// tell a new conversation from an old one, so a kept one would last for as long as the sender likes.
package nftables
