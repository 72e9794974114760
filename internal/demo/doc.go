// Package demo tells the main job on this machine's kernel: a guarded machine in a network namespace, a real server and
// a real agent as processes of their own, real connections, and the time that each step took.
//
// Three processes stand behind it. The first stays where it was started, keeps the terminal and the temporary folder,
// and listens on the loopback address. The second is process 1 of its own namespaces, so that everything it starts ends
// with it; it is the person's side, where the server runs. A thread of it lives in one more network namespace, the
// machine's, and starts the agent and the guarded service there.
package demo
