import type { Grant, Machine } from "./api";

/** command is what to type once a port is open, where that is known. */
export function command(g: Grant, m?: Machine): string {
  const host = m?.addresses?.[0] ?? g.machine;
  if (g.ports === "22") return `ssh ${host}`;
  if (g.ports === "3389") return `mstsc /v:${host}`;
  if (g.ports === "5986") return `Enter-PSSession -ComputerName ${host} -UseSSL`;
  if (g.ports === "5985") return `Enter-PSSession -ComputerName ${host}`;
  return "";
}

const names: Record<string, string> = { "22": "SSH", "3389": "RDP", "5985": "WinRM", "5986": "WinRM over TLS", "80": "HTTP", "443": "HTTPS", "5432": "PostgreSQL", "3306": "MySQL" };

/** service is what usually listens on a port; empty if that is not known. */
export const service = (ports: string) => names[ports] ?? "";
