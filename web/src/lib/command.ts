import type { Grant, Machine } from "./api";

const onWindows = () => navigator.userAgent.includes("Windows");

/** clean is text without what would begin a line of its own, wherever the text is put. */
const clean = (text: string) => text.replace(/[\p{Cc}\p{Zl}\p{Zp}]/gu, "");

/** plain tells whether no shell and no program takes text for anything but a name or an address. */
const plain = (text: string) => /^[A-Za-z0-9/:[][A-Za-z0-9._:/[\]-]*$/.test(text);

/** sh is one word of a POSIX shell. */
export const sh = (text: string) => (plain(text) ? text : `'${clean(text).replaceAll("'", "'\\''")}'`);

/** ps is one word of PowerShell, which takes four more characters for quotes. */
export const ps = (text: string) => (plain(text) ? text : `'${clean(text).replace(/['\u2018-\u201b]/g, "$&$&")}'`);

/** host is where to connect to: an address of the machine of a family that the grant is for, or else its name. */
export function host(g: Grant, m?: Machine): string {
  const six = g.sources.map((s) => s.includes(":"));
  const usable = (m?.addresses ?? []).filter((a) => !/^(127\.|169\.254\.|fe80:|::1$)/i.test(a));
  return usable.find((a) => six.includes(a.includes(":"))) ?? usable[0] ?? g.machine;
}

const bracketed = (at: string) => (at.includes(":") ? `[${at}]` : at);

/** command is what to type once a port is open; where no program is known for it, its address. */
export function command(g: Grant, m?: Machine, windows = onWindows()): string {
  const at = host(g, m);
  if (g.protocol === "udp" || g.ports.includes("-")) return `${clean(bracketed(at))}:${g.ports}`;
  switch (g.ports) {
    case "22":
      return `ssh ${at.startsWith("-") ? "-- " : ""}${windows ? ps(at) : sh(at)}`;
    case "3389":
      return windows ? `mstsc ${ps(`/v:${bracketed(at)}`)}` : `xfreerdp ${sh(`/v:${bracketed(at)}`)}`;
    case "5986":
      return `Enter-PSSession -ComputerName ${ps(at)} -UseSSL -Credential (Get-Credential)`;
    case "5985":
      return `Enter-PSSession -ComputerName ${ps(at)} -Credential (Get-Credential)`;
    case "5432":
      return `psql -h ${sh(at)}`;
    case "3306":
      return `mysql -h ${sh(at)}`;
    case "80":
      return `http://${clean(bracketed(at))}/`;
    case "443":
      return `https://${clean(bracketed(at))}/`;
  }
  return `${clean(bracketed(at))}:${g.ports}`;
}

/**
 * remoteDesktop is a file that a client for Remote Desktop opens, and its name; undefined where the port is for something
 * else. Each setting is a line, and nothing that somebody named can add one.
 */
export function remoteDesktop(g: Grant, m?: Machine): { name: string; text: string } | undefined {
  if (g.ports !== "3389" || g.protocol === "udp") return undefined;
  return {
    name: `${g.machine.replace(/[^A-Za-z0-9._-]/g, "_").replace(/^[.-]+/, "")}.rdp`,
    text: `full address:s:${clean(bracketed(host(g, m)))}:3389\r\nprompt for credentials:i:1\r\n`,
  };
}

const names: Record<string, string> = {
  "22": "SSH",
  "3389": "RDP",
  "5985": "WinRM",
  "5986": "WinRM TLS",
  "80": "HTTP",
  "443": "HTTPS",
  "5432": "PostgreSQL",
  "3306": "MySQL",
};

/** service is what usually listens on a port; empty if that is not known. */
export const service = (ports: string) => names[ports] ?? "";
