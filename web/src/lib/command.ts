import type { Grant, Machine } from "./api";

const windows = /Windows/.test(navigator.userAgent);

/** command is what to type once a port is open; where no program is known for it, its address. */
export function command(g: Grant, m?: Machine): string {
  const host = m?.addresses?.[0] ?? g.machine;
  const bracketed = host.includes(":") ? `[${host}]` : host;
  if (g.protocol === "udp" || g.ports.includes("-")) return `${bracketed}:${g.ports}`;
  switch (g.ports) {
    case "22":
      return `ssh ${host}`;
    case "3389":
      return windows ? `mstsc /v:${bracketed}` : `xfreerdp /v:${bracketed}`;
    case "5986":
      return `Enter-PSSession -ComputerName ${host} -UseSSL`;
    case "5985":
      return `Enter-PSSession -ComputerName ${host}`;
    case "5432":
      return `psql -h ${host}`;
    case "3306":
      return `mysql -h ${host}`;
    case "80":
      return `http://${bracketed}/`;
    case "443":
      return `https://${bracketed}/`;
  }
  return `${bracketed}:${g.ports}`;
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
