/**
 * recommended gives the management ports that are guarded when nobody names any, by the operating systems of the
 * machines: SSH of Linux, RDP and WinRM of Windows, and all of them where that of one is another, or not known.
 */
export function recommended(systems: string[]): string[] {
  const only = (system: string) => systems.length > 0 && systems.every((s) => s.toLowerCase() === system);
  if (only("linux")) return ["22"];
  if (only("windows")) return ["3389", "5985", "5986"];
  return ["22", "3389", "5985", "5986"];
}
